"""What the publisher publishes, as whom, and what it reports when it cannot."""

from __future__ import annotations

import importlib
import json
import threading
import time
import uuid
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import boto3
import grpc
import pytest
from momento import CacheClient, Configurations, CredentialProvider
from momento.responses import CacheGet

from local.momento.auth import make_api_key
from tests.support.aws_proxy import AwsProxy
from tests.support.functions import Function
from tests.support.momento import CACHE, TOPIC, Momento, Subscription
from tests.support.sample_events import sample_event, sample_paths


@pytest.fixture(scope="module")
def publisher(load: Callable[..., Function]) -> Function:
    return load("publisher")


@pytest.fixture(scope="module")
def publisher_of_all_topics(load: Callable[..., Function], all_topics: dict[str, str]) -> Function:
    return load("publisher", **all_topics)


def message(user: Any, comment: Any = "well said", course_id: Any = 123) -> dict[str, Any]:
    return {"userId": user, "courseId": course_id, "comment": comment}


PUBLISHED = {"published": 1, "failed": []}


def test_publishes_as_the_user(publisher: Function, momento: Momento, user: str) -> None:
    with momento.subscribe() as subscription:
        assert publisher(message(user, "Schön! 🎉", "c-1")) == PUBLISHED
        publisher_id, text = subscription.next()
    assert publisher_id == user
    assert json.loads(text) == {"courseId": "c-1", "comment": "Schön! 🎉", "id": "request-0"}


def test_each_line_of_the_log_names_its_request(
    load: Callable[..., Function], user: str, capsys: pytest.CaptureFixture[str]
) -> None:
    # A logger of its own, which writes here.
    publisher = load("publisher", POWERTOOLS_SERVICE_NAME=user, MOMENTO_API_KEY_SECRET="missing")
    assert publisher(message(user))["published"] == 0
    lines = [json.loads(text) for text in capsys.readouterr().out.splitlines()]
    assert {line["function_request_id"] for line in lines if "message" in line} == {"request"}


def test_publishes_each_message_of_a_batch_as_its_user_in_order(
    publisher: Function, momento: Momento
) -> None:
    users = [f"user-{uuid.uuid4()}" for _ in range(3)]
    batch = [message(users[n % 3], str(n), n) for n in range(9)]
    with momento.subscribe() as subscription:
        assert publisher({"messages": batch}) == {"published": 9, "failed": []}
        received = [subscription.next() for _ in batch]
    assert [(who, json.loads(text)) for who, text in received] == [
        (
            sent["userId"],
            {"courseId": sent["courseId"], "comment": sent["comment"], "id": f"request-{index}"},
        )
        for index, sent in enumerate(batch)
    ]


def test_publishes_with_the_callers_id(publisher: Function, momento: Momento, user: str) -> None:
    content = {"courseId": 1, "comment": "mine"}
    with momento.subscribe() as subscription:
        for event in (
            {**message(user, "mine", 1), "id": "click-1"},
            {"userId": user, "topic": TOPIC, "message": {**content, "id": "click-1"}},
            {"userId": user, "topic": TOPIC, "message": content, "id": "click-1"},
        ):
            assert publisher(event) == PUBLISHED
            assert json.loads(subscription.next()[1]) == {**content, "id": "click-1"}


def test_a_message_has_the_same_id_when_lambda_repeats_the_event(
    publisher: Function, momento: Momento, user: str
) -> None:
    batch = {"messages": [message(user, "one"), message(user, "two")]}
    with momento.subscribe() as subscription:
        publisher(batch, request_id="a")
        publisher(batch, request_id="a")
        publisher(batch, request_id="b")
        ids = [json.loads(subscription.next()[1])["id"] for _ in range(6)]
    assert ids == ["a-0", "a-1", "a-0", "a-1", "b-0", "b-1"]


@pytest.mark.parametrize("message_id", ["", "x" * 65, 5, None, "line\nbreak", ["x"]])
def test_refuses_invalid_ids(message_id: Any, publisher: Function, user: str) -> None:
    with pytest.raises(ValueError, match="id must be"):
        publisher({**message(user), "id": message_id})


@pytest.mark.parametrize("topic", ["unknown", "", None, 5, ["comment"]])
def test_names_the_known_topics_if_a_topic_is_unknown(topic: Any, publisher: Function, user: str) -> None:
    with pytest.raises(ValueError, match="topic must be one of comment"):
        publisher({"userId": user, "topic": topic, "message": {"courseId": 1, "comment": "x"}})


@pytest.mark.parametrize("content", [None, [], "text", 5])
def test_says_that_a_message_must_be_an_object(content: Any, publisher: Function, user: str) -> None:
    with pytest.raises(ValueError, match="message must be an object"):
        publisher({"userId": user, "topic": TOPIC, "message": content})


@pytest.mark.parametrize("number", [float("nan"), float("inf")])
def test_refuses_numbers_that_json_does_not_have(number: float, publisher: Function, user: str) -> None:
    with pytest.raises(ValueError, match="a number that JSON does not have"):
        publisher({"userId": user, "topic": TOPIC, "message": message(user) | {"weight": number}})


@pytest.mark.parametrize("path", sample_paths("publisher"))
def test_answers_each_sample_event_as_its_name_says(path: str, publisher_of_all_topics: Function) -> None:
    words = path.split("/")[1].removesuffix(".json").split("_")
    if words[0] == "error":
        with pytest.raises(ValueError, match=r"userId|messages|choice|text|topic"):
            publisher_of_all_topics(sample_event(path))
        return
    promised = dict(zip(words[::2], words[1::2], strict=False))
    answer = publisher_of_all_topics(sample_event(path))
    assert answer["published"] == int(promised["published"])
    assert len(answer["failed"]) == int(promised.get("failed", "0"))


@pytest.mark.parametrize(
    "event",
    [
        None,
        [],
        "text",
        {},
        {"messages": None},
        {"messages": {}},
        {"userId": "taylor"},
        message(None),
        message(""),
        message(5),
        message("x" * 65),
        message("line\nbreak"),
        message("taylor", None),
        message("taylor", 5),
        message("taylor", "x", None),
        message("taylor", "x", True),
        message("taylor", "x", 1.5),
        message("taylor", "x", ""),
        message("taylor", "x", [1]),
        message("taylor", "x", "x" * 129),
    ],
)
def test_raises_an_error_for_an_event_of_another_form(event: Any, publisher: Function) -> None:
    with pytest.raises(ValueError, match=r"event must be|userId|courseId|comment"):
        publisher(event)


def test_publishes_the_good_messages_of_a_batch(publisher: Function, user: str) -> None:
    batch = [message(user), None, message(""), message(user, 5), message(user, "x" * 4097), message(user)]
    answer = publisher({"messages": batch})
    assert answer["published"] == 2
    assert [failure["index"] for failure in answer["failed"]] == [1, 2, 3, 4]
    assert not any(failure["retryable"] for failure in answer["failed"])
    assert all(failure["error"] for failure in answer["failed"])


def test_an_empty_batch_is_accepted(publisher: Function) -> None:
    assert publisher({"messages": []}) == {"published": 0, "failed": []}


def test_takes_messages_of_exactly_4_kb_as_encoded(publisher: Function, momento: Momento, user: str) -> None:
    room = 4096 - len(json.dumps({"courseId": 123, "comment": "", "id": "request-0"}).encode())
    with momento.subscribe() as subscription:
        assert publisher(message(user, "é" * (room // 2) + "x" * (room % 2))) == PUBLISHED
        assert len(subscription.next()[1].encode()) == 4096
    refused = publisher(message(user, "é" * (room // 2 + 1)))
    assert refused["published"] == 0
    assert "4096" in refused["failed"][0]["error"]


def test_refuses_comments_that_cannot_be_encoded(publisher: Function, user: str) -> None:
    assert publisher(message(user, "half \ud83d a pair"))["failed"][0]["retryable"] is False


def test_mints_one_token_for_a_user(publisher: Function, momento: Momento, user: str) -> None:
    assert publisher(message(user)) == PUBLISHED
    momento.admin("/fail", rpcs="generate-disposable-token", error="permission-denied")
    assert publisher(message(user)) == PUBLISHED
    assert "did not mint a token" in publisher(message(user + "x"))["failed"][0]["error"]


def test_uses_no_token_in_the_last_tenth_of_its_life(
    load: Callable[..., Function], momento: Momento, user: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    minutes_passed, now = 0.0, time.time
    monkeypatch.setattr(time, "time", lambda: now() + minutes_passed * 60)
    publisher = load("publisher", TOKEN_LIFETIME_MINUTES="30")
    assert publisher(message(user)) == PUBLISHED
    momento.admin("/fail", rpcs="generate-disposable-token", error="permission-denied")
    minutes_passed = 26.9
    assert publisher(message(user)) == PUBLISHED
    minutes_passed = 27.1
    [failure] = publisher(message(user))["failed"]
    assert "did not mint a token" in failure["error"]


def test_publishes_only_messages_that_can_be_published_in_time(publisher: Function, user: str) -> None:
    """Opening a session may take 10 s, publishing 2 s, and answering 1 s."""
    no_time = [{"index": 0, "error": "no time was left to try", "retryable": True}]
    assert publisher(message(user), timeout=12.9) == {"published": 0, "failed": no_time}
    assert publisher(message(user), timeout=14) == PUBLISHED
    assert publisher(message(user), timeout=2.9) == {"published": 0, "failed": no_time}
    assert publisher(message(user), timeout=4) == PUBLISHED


def test_the_users_token_may_publish_on_the_topic_and_nothing_else(
    publisher: Function, momento: Momento, user: str
) -> None:
    from publisher.sessions import Sessions

    # Each load of a function makes the class of the error again, so it is taken from where `publish` is.
    sending = importlib.import_module("publisher.message_publisher")
    session = Sessions(publisher.module.settings, [TOPIC]).open(user)
    sending.publish(session.credentials, CACHE, TOPIC, "x")
    with pytest.raises(sending.MomentoError, match="PERMISSION_DENIED"):
        sending.publish(session.credentials, CACHE, "another", "x")
    host = momento.server.host
    credentials = CredentialProvider(session.credentials.auth_token, host, host, host, momento.server.port)
    with pytest.raises(grpc.RpcError) as error:
        Subscription(credentials, TOPIC)
    assert error.value.code() is grpc.StatusCode.PERMISSION_DENIED
    with CacheClient(Configurations.Laptop.latest(), credentials, timedelta(minutes=1)) as cache:
        assert isinstance(cache.get(CACHE, "anything"), CacheGet.Error)


def test_a_token_that_is_refused_is_replaced(publisher: Function, momento: Momento, user: str) -> None:
    assert publisher(message(user)) == PUBLISHED
    momento.admin("/fail", rpcs="topic-publish", error="unauthenticated", count=1)
    assert publisher(message(user)) == PUBLISHED
    # The refused token would be taken the next time, but it is not used again.
    momento.admin("/fail", rpcs="topic-publish", error="unauthenticated", count=1)
    momento.admin("/fail", rpcs="generate-disposable-token", error="permission-denied")
    [failure] = publisher(message(user))["failed"]
    assert "did not mint a token" in failure["error"]


@pytest.mark.parametrize("rpc", ["topic-publish", "generate-disposable-token"])
@pytest.mark.parametrize("error", ["unavailable", "resource-exhausted"])
def test_tries_again_if_momento_refuses_for_now(
    rpc: str, error: str, publisher: Function, momento: Momento, user: str
) -> None:
    momento.admin("/fail", rpcs=rpc, error=error, count=2)
    with momento.subscribe() as subscription:
        assert publisher(message(user)) == PUBLISHED
        assert subscription.next()[0] == user


@pytest.mark.parametrize(
    ("error", "retryable"),
    [("internal", True), ("unauthenticated", True), ("permission-denied", True), ("invalid-argument", False)],
)
def test_a_message_without_a_token_may_be_sent_later_unless_momento_refuses_its_fields(
    error: str, retryable: bool, publisher: Function, momento: Momento, user: str
) -> None:
    momento.admin("/fail", rpcs="generate-disposable-token", error=error)
    assert [one["retryable"] for one in publisher(message(user))["failed"]] == [retryable]


@pytest.mark.parametrize("secret", [{"SecretString": "no key"}, {"SecretBinary": b"no text"}])
def test_answers_for_each_message_when_the_api_key_is_unusable(
    secret: dict[str, Any], load: Callable[..., Function], momento: Momento, user: str
) -> None:
    secrets = boto3.client("secretsmanager")
    secrets.create_secret(Name=user, **secret)
    publisher = load("publisher", MOMENTO_API_KEY_SECRET=user)
    started = time.monotonic()
    answer = publisher({"messages": [message(user), message(""), message(user)]}, timeout=20)
    assert time.monotonic() - started < 4  # Another attempt has no use.
    assert answer["published"] == 0
    assert [(failure["index"], failure["retryable"]) for failure in answer["failed"]] == [
        (0, True),
        (1, False),
        (2, True),
    ]
    assert user in answer["failed"][0]["error"]
    secrets.put_secret_value(SecretId=user, SecretString=momento.server.api_key)
    deadline = time.monotonic() + 10
    while publisher(message(user), timeout=14) != PUBLISHED:
        assert time.monotonic() < deadline
        time.sleep(0.2)


def test_an_unexpected_error_fails_one_message_and_not_the_batch(
    publisher: Function, user: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    publish = publisher.module.publisher.publish

    def fail_once(sent: Any, deadline: float) -> None:
        monkeypatch.setattr(publisher.module.publisher, "publish", publish)
        raise RuntimeError("secret detail")

    monkeypatch.setattr(publisher.module.publisher, "publish", fail_once)
    answer = publisher({"messages": [message(user), message(user)]})
    assert answer["published"] == 1
    assert [(failure["index"], failure["retryable"]) for failure in answer["failed"]] == [(0, True)]
    assert "secret detail" not in json.dumps(answer)


def test_waits_out_an_outage(publisher: Function, momento: Momento, user: str) -> None:
    assert publisher(message(user)) == PUBLISHED
    momento.admin("/block")
    back = threading.Timer(1.5, momento.admin, ["/unblock"])
    back.start()
    try:
        answer = publisher({"messages": [message(user), message(user + "x")]}, timeout=20)
    finally:
        back.join()
    assert answer["published"] == 2


def test_reconnects_at_once_when_momento_is_back(publisher: Function, momento: Momento, user: str) -> None:
    assert publisher(message(user)) == PUBLISHED
    momento.admin("/block")
    until = time.monotonic() + 3
    while time.monotonic() < until:
        assert publisher(message(user), timeout=3.2)["published"] == 0
    momento.admin("/unblock")
    started = time.monotonic()
    assert publisher(message(user), timeout=10) == PUBLISHED
    assert time.monotonic() - started < 0.5


@pytest.mark.parametrize(
    ("error", "retryable"),
    [("unavailable", True), ("resource-exhausted", True), ("permission-denied", False), ("not-found", False)],
)
def test_reports_what_it_could_not_publish_in_time(
    error: str, retryable: bool, publisher: Function, momento: Momento, user: str
) -> None:
    assert publisher(message(user)) == PUBLISHED
    momento.admin("/fail", rpcs="topic-publish", error=error)
    started = time.monotonic()
    answer = publisher({"messages": [message(user), message(user)]}, timeout=3.5)
    assert time.monotonic() - started < 3.5
    assert answer["published"] == 0
    assert [(one["index"], one["retryable"]) for one in answer["failed"]] == [(0, retryable), (1, retryable)]


def test_answers_in_time_even_if_momento_is_slow(publisher: Function, momento: Momento) -> None:
    momento.admin("/delay", rpcs="generate-disposable-token topic-publish", ms=1500)
    started = time.monotonic()
    answer = publisher({"messages": [message(f"user-{uuid.uuid4()}") for _ in range(4)]}, timeout=15)
    assert time.monotonic() - started < 15
    assert answer["published"] == 1
    assert [(one["index"], one["error"], one["retryable"]) for one in answer["failed"]] == [
        (index, "no time was left to try", True) for index in (1, 2, 3)
    ]


def test_does_not_publish_twice_if_the_answer_is_late(
    publisher: Function, momento: Momento, user: str
) -> None:
    """Nobody knows whether such a message is out: whether to risk a second copy is for the caller to say."""
    momento.admin("/delay", rpcs="topic-publish", ms=2500, count=1)
    answer = publisher(message(user), timeout=30)
    assert answer["failed"] == [
        {"index": 0, "error": "Momento answered DEADLINE_EXCEEDED", "retryable": True}
    ]


def test_reports_that_its_key_could_not_be_read(load: Callable[..., Function], user: str) -> None:
    publisher = load("publisher", MOMENTO_API_KEY_SECRET="missing")
    [failure] = publisher(message(user), timeout=13.5)["failed"]  # Half a second to begin with.
    assert failure["retryable"]
    assert "the secret missing cannot be read" in failure["error"]


def test_publishes_once_its_key_can_be_read(
    load: Callable[..., Function], aws_endpoint: str, user: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with AwsProxy(aws_endpoint, GetSecretValue="fail") as aws:
        monkeypatch.setenv("AWS_ENDPOINT_URL_SECRETS_MANAGER", aws.url)
        publisher = load("publisher")
        answers: list[Any] = []
        publishing = threading.Thread(target=lambda: answers.append(publisher(message(user))))
        publishing.start()
        while publishing.is_alive() and len(aws.calls) < 3:  # boto3 makes two calls before it gives up.
            time.sleep(0.02)
        aws.troubles.clear()
        publishing.join()
    assert answers == [PUBLISHED]


def test_reads_the_api_key_again_when_momento_refuses_it(
    load: Callable[..., Function], momento: Momento, user: str
) -> None:
    secrets = boto3.client("secretsmanager")
    secrets.create_secret(Name=user, SecretString=make_api_key())
    publisher = load("publisher", MOMENTO_API_KEY_SECRET=user)
    momento.admin("/fail", rpcs="generate-disposable-token", error="internal")
    assert len(publisher(message(user))["failed"]) == 1
    momento.admin("/clear-faults")
    secrets.put_secret_value(SecretId=user, SecretString=momento.server.api_key)
    assert publisher(message(user)) == PUBLISHED


def test_serves_more_users_than_it_keeps_sessions_for(publisher: Function) -> None:
    batch = [message(f"user-{uuid.uuid4()}") for _ in range(1010)]
    assert publisher({"messages": batch}, timeout=60)["published"] == 1010
