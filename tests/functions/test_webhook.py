"""What the webhook answers, writes and leaves behind."""

from __future__ import annotations

import hashlib
import hmac
import json
import time
import uuid
from collections.abc import Callable
from typing import Any

import boto3
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from momento.responses import CacheListPushFront

from local.momento.auth import make_api_key
from local.sign_event import sign_event
from tests.support.aws_proxy import AwsProxy, Trouble
from tests.support.functions import Function
from tests.support.message_record import delete_record, read_record
from tests.support.momento import CACHE, TOPIC, Momento
from tests.support.sample_events import sample_event, sample_paths
from tests.support.spill_queue import receive_spilled, spilled_record
from tests.support.webhook_requests import SIGNING_SECRET, comment, failures, signature, signed, status


@pytest.fixture(scope="module")
def webhook(load: Callable[..., Function]) -> Function:
    return load("webhook")


@pytest.fixture(scope="module")
def webhook_of_all_topics(load: Callable[..., Function], all_topics: dict[str, str]) -> Function:
    return load("webhook", **all_topics)


@pytest.fixture
def course() -> str:
    return f"course-{uuid.uuid4()}"


def test_stores_a_comment_under_its_publishers_identity(
    webhook: Function, momento: Momento, course: str
) -> None:
    message = comment(course, event_timestamp=1_700_000_000_123, topic_sequence_number=7)
    assert status(webhook(signed(message))) == (200, "stored")
    assert momento.entries(course) == [
        {
            "userID": "taylor",
            "comment": "well said",
            "id": "1700000000123-7",
            "publishedAt": 1_700_000_000_123,
        }
    ]


def text_with_id(course: str, message_id: Any) -> str:
    return json.dumps({"courseId": course, "comment": "well said", "id": message_id})


def test_stores_a_message_that_was_published_twice_with_one_id_once(
    webhook: Function, momento: Momento, course: str
) -> None:
    text = text_with_id(course, f"click in {course[:50]}")
    assert status(webhook(signed(comment(course, text=text)))) == (200, "stored")
    assert status(webhook(signed(comment(course, text=text)))) == (200, "duplicate")
    [entry] = momento.entries(course)
    assert (entry["userID"], entry["id"]) == ("taylor", json.loads(text)["id"])


def test_a_user_cannot_claim_the_id_of_another_users_message(
    webhook: Function, momento: Momento, course: str
) -> None:
    text = text_with_id(course, f"click in {course[:50]}")
    for publisher in ("mallory", "taylor"):
        assert status(webhook(signed(comment(course, text=text, token_id=publisher)))) == (200, "stored")
    assert [entry["userID"] for entry in momento.entries(course)] == ["taylor", "mallory"]


def test_looks_for_publisher_and_id_before_it_stores_again(
    webhook: Function, momento: Momento, course: str, spilled: Callable[[int], dict[str, Any]]
) -> None:
    text = text_with_id(course, f"click in {course[:50]}")
    assert status(webhook(signed(comment(course, text=text, token_id="mallory")))) == (200, "stored")
    momento.admin("/fail", rpcs="list-push-front", error="internal", count=1)
    assert status(webhook(signed(comment(course, text=text)))) == (202, "queued")
    batch = spilled(1)
    assert failures(webhook(batch)) == []
    assert failures(webhook(batch)) == []
    assert [entry["userID"] for entry in momento.entries(course)] == ["taylor", "mallory"]


@pytest.mark.parametrize("message_id", ["", "x" * 65, 5, None, "line\nbreak", ["x"], "\u202e"])
def test_refuses_invalid_ids(message_id: Any, webhook: Function, course: str) -> None:
    answer = webhook(signed(comment(course, text=text_with_id(course, message_id))))
    assert answer["statusCode"] == 400
    assert "id must be" in json.loads(answer["body"])["message"]


def test_takes_no_identity_from_the_text(webhook: Function, momento: Momento, course: str) -> None:
    text = json.dumps({"courseId": course, "comment": "me", "userID": "mallory", "token_id": "mallory"})
    assert status(webhook(signed(comment(course, text=text)))) == (200, "stored")
    assert [entry["userID"] for entry in momento.entries(course)] == ["taylor"]


def test_keeps_the_newest_comments_first_and_no_more_than_asked(
    webhook: Function, momento: Momento, course: str
) -> None:
    for number in range(5):
        webhook(signed(comment(course, text=json.dumps({"courseId": course, "comment": str(number)}))))
    assert [entry["comment"] for entry in momento.entries(course)] == ["4", "3", "2"]


def test_refreshes_the_lists_time_to_live(webhook: Function, momento: Momento, course: str) -> None:
    with momento.cache_client() as cache:
        assert isinstance(cache.list_push_front(CACHE, course, "{}"), CacheListPushFront.Success)
        webhook(signed(comment(course)))
    assert 500 < momento.remaining_ttl_seconds(course) <= 600


def test_a_number_and_its_text_name_the_same_course(webhook: Function, momento: Momento) -> None:
    number = time.time_ns()
    for course_id in (number, str(number)):
        webhook(signed(comment("", text=json.dumps({"courseId": course_id, "comment": "same"}))))
    assert len(momento.entries(str(number))) == 2


@pytest.mark.parametrize("path", sample_paths("webhook"))
def test_answers_each_sample_event_as_its_name_says(path: str, webhook_of_all_topics: Function) -> None:
    promised = int(path.split("/")[1].split("_", maxsplit=1)[0])
    event = sample_event(path)
    if promised != 403:
        event = sign_event(event, SIGNING_SECRET, time.time())
    elif path.endswith("stale.json"):
        event = sign_event(event, SIGNING_SECRET, None)
    assert webhook_of_all_topics(event)["statusCode"] == promised


@pytest.mark.parametrize(
    ("age_seconds", "promised"), [(0, 200), (57, 200), (-57, 200), (63, 403), (-63, 403), (1e9, 403)]
)
def test_accepts_only_requests_of_the_last_minute(
    age_seconds: float, promised: int, webhook: Function, course: str
) -> None:
    made = int((time.time() - age_seconds) * 1000)
    assert webhook(signed(comment(course, publish_timestamp=made)))["statusCode"] == promised


@pytest.mark.parametrize(
    ("age_millis", "promised"), [(60_000, 200), (60_001, 403), (-60_000, 200), (-60_001, 403)]
)
def test_the_replay_window_ends_after_exactly_a_minute(
    age_millis: int, promised: int, webhook: Function, course: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = int(time.time())
    monkeypatch.setattr(time, "time", lambda: now)
    made = now * 1000 - age_millis
    assert webhook(signed(comment(course, publish_timestamp=made)))["statusCode"] == promised


def test_checks_the_times_before_anything_else(webhook: Function, course: str) -> None:
    assert webhook(signed(comment(course, publish_timestamp=1, text=None)))["statusCode"] == 403


@pytest.mark.parametrize(
    "forge",
    [
        lambda raw: None,
        lambda raw: "",
        lambda raw: "0" * 64,
        lambda raw: signature(raw).upper(),
        lambda raw: signature(raw)[:-1],
        lambda raw: signature(raw) + "0",
        lambda raw: "sha3=" + signature(raw),
        lambda raw: signature(raw, "another-secret"),
        lambda raw: signature(raw + b" "),
        lambda raw: hmac.new(SIGNING_SECRET.encode(), raw, hashlib.sha256).hexdigest(),
        lambda raw: hashlib.sha3_256(raw).hexdigest(),
        lambda raw: "\u00e9" * 64,
        lambda raw: "\ud800" * 64,
    ],
)
def test_refuses_every_wrong_signature(
    forge: Callable[[bytes], str | None], webhook: Function, momento: Momento, course: str
) -> None:
    raw = json.dumps(comment(course)).encode()
    event = signed(raw)
    event["headers"] = {name: value for name in ["momento-signature"] if (value := forge(raw)) is not None}
    assert webhook(event)["statusCode"] == 403
    assert momento.entries(course) == []


@pytest.mark.parametrize(
    "event",
    [
        {},
        {"headers": None, "body": None},
        {"headers": {}, "body": "\ud800"},
        {"headers": {"momento-signature": "0" * 64}, "body": "no base64!", "isBase64Encoded": True},
        {"headers": {"momento-signature": "0" * 64}, "body": {"cache": CACHE}},
    ],
)
def test_refuses_requests_that_cannot_be_signed(event: dict[str, Any], webhook: Function) -> None:
    assert webhook(event)["statusCode"] == 403


def test_checks_the_signature_over_the_bytes_as_sent(webhook: Function, course: str) -> None:
    raw = json.dumps(comment(course), indent=3).replace("taylor", "\\u0074aylor").encode()
    assert status(webhook(signed(raw))) == (200, "stored")
    as_text = {**signed(raw), "body": raw.decode(), "isBase64Encoded": False}
    assert status(webhook(as_text)) == (200, "duplicate")


NOT_OF_THE_FORM = [
    b"",
    b"no json",
    b"\xff\xfe",
    b"[]",
    b"null",
    b'"text"',
    b"[" * 100_000,
    b'{"a":' * 100_000,
    b'{"publish_timestamp": NaN}',
    b'{"publish_timestamp": ' + b"9" * 5000 + b"}",
    b"{" + b" " * 1_000_000,
]


@pytest.mark.parametrize("raw", NOT_OF_THE_FORM, ids=lambda raw: repr(raw[:12]))
def test_answers_400_to_signed_nonsense(raw: bytes, webhook: Function) -> None:
    assert webhook(signed(raw))["statusCode"] == 400


@pytest.mark.parametrize(
    "field",
    [
        "cache",
        "topic",
        "event_timestamp",
        "publish_timestamp",
        "topic_sequence_number",
        "token_id",
        "text",
        "topic_sequence_page",
    ],
)
@pytest.mark.parametrize("value", [None, [], {}, True, -1, 1.5, 2**64])
def test_names_the_wrong_field(field: str, value: Any, webhook: Function, course: str) -> None:
    answer = webhook(signed(comment(course, **{field: value})))
    assert answer["statusCode"] == 400
    assert field in json.loads(answer["body"])["message"]


@pytest.mark.parametrize(
    "text",
    [
        "",
        "no json",
        "[]",
        "[" * 4000,
        "{}",
        '{"courseId": 1}',
        '{"comment": "on what?"}',
        '{"courseId": null, "comment": "x"}',
        '{"courseId": true, "comment": "x"}',
        '{"courseId": 1.5, "comment": "x"}',
        '{"courseId": "", "comment": "x"}',
        '{"courseId": [1], "comment": "x"}',
        '{"courseId": "\\ud800", "comment": "x"}',
        '{"courseId": "a\\u0000b", "comment": "x"}',
        '{"courseId": 1, "comment": 5}',
        '{"courseId": 1, "comment": null}',
        json.dumps({"courseId": "x" * 129, "comment": "x"}),
        '{"courseId": ' + "9" * 200 + ', "comment": "x"}',
        '{"courseId": ' + "9" * 4400 + ', "comment": "x"}',
    ],
    ids=lambda text: text[:30],
)
def test_refuses_texts_that_are_not_comments(text: str, webhook: Function, course: str) -> None:
    assert webhook(signed(comment(course, text=text)))["statusCode"] == 400


def test_stores_any_comment_unchanged(webhook: Function, momento: Momento, course: str) -> None:
    comments = ["", "\u0000\u2028</script>", "\U0001f389", "half \ud83d a pair", "x" * 3900]
    for written in comments:
        text = json.dumps({"courseId": course, "comment": written})
        assert status(webhook(signed(comment(course, text=text)))) == (200, "stored")
        assert momento.entries(course)[0]["comment"] == written


@pytest.mark.parametrize("character", ["\u00e9", "\U0001f389"])
def test_a_list_of_the_longest_comments_has_room_for_more(
    character: str, load: Callable[..., Function], momento: Momento, course: str
) -> None:
    """Momento takes messages of 4 KB, and a list of a megabyte: one user must not be able to fill it."""
    webhook = load("webhook", COMMENT_LIST_LENGTH="100")
    bare = json.dumps({"courseId": course, "comment": ""})
    escaped = json.dumps(character, ensure_ascii=False)[1:-1]
    longest = character * ((4096 - len(bare)) // len(escaped.encode()))
    text = json.dumps({"courseId": course, "comment": longest}, ensure_ascii=False)
    assert 4090 < len(text.encode()) <= 4096
    for _ in range(101):
        assert status(webhook(signed(comment(course, text=text)))) == (200, "stored")
    assert len(momento.entries(course)) == 100


def test_refuses_messages_of_other_topics_and_caches(webhook: Function, course: str) -> None:
    assert webhook(signed(comment(course, topic="another")))["statusCode"] == 400
    assert webhook(signed(comment(course, cache="another")))["statusCode"] == 400


def test_stores_a_message_once(webhook: Function, momento: Momento, course: str) -> None:
    message = comment(course)
    assert status(webhook(signed(message))) == (200, "stored")
    redelivered = {**message, "publish_timestamp": message["publish_timestamp"] + 5}
    assert status(webhook(signed(redelivered))) == (200, "duplicate")
    assert len(momento.entries(course)) == 1


@pytest.mark.parametrize(
    "difference",
    [
        {"topic_sequence_number": 0},
        {"event_timestamp": 1_700_000_000_000},
        {"topic_sequence_page": 3},
    ],
)
def test_stores_each_message_that_differs(
    difference: dict[str, int], webhook: Function, momento: Momento, course: str
) -> None:
    message = comment(course)
    assert status(webhook(signed(message))) == (200, "stored")
    assert status(webhook(signed(message | difference))) == (200, "stored")
    assert len(momento.entries(course)) == 2


def test_tells_messages_apart_by_page_if_there_is_one(webhook: Function, course: str) -> None:
    first = comment(course, topic_sequence_page=1)
    assert status(webhook(signed(first))) == (200, "stored")
    assert status(webhook(signed(first | {"event_timestamp": 1}))) == (200, "duplicate")
    assert status(webhook(signed(first | {"topic_sequence_page": 2}))) == (200, "stored")


def test_takes_the_largest_numbers_that_momento_can_send(webhook: Function, course: str) -> None:
    largest = 2**64 - 1
    numbers = {"topic_sequence_page": largest, "topic_sequence_number": largest, "event_timestamp": largest}
    assert status(webhook(signed(comment(course, **numbers)))) == (200, "stored")


def test_the_log_of_a_request_names_only_its_own_message(
    load: Callable[..., Function], course: str, capsys: pytest.CaptureFixture[str]
) -> None:
    webhook = load("webhook", POWERTOOLS_SERVICE_NAME=course)  # A logger of its own, which writes here.

    def logged() -> list[dict[str, Any]]:
        lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
        return [line for line in lines if "message" in line]

    webhook(signed(comment(course, topic_sequence_number=5, event_timestamp=7)))
    [stored] = logged()
    assert (stored["message"], stored["topic"], stored["message_id"]) == ("stored", TOPIC, "7-5")
    assert stored["correlation_id"] == stored["function_request_id"] == "request"
    webhook(signed(comment(course), sign_with="another"))
    [refused] = logged()
    assert (refused["message"], refused["reason"]) == ("refused", "wrong signature")
    assert not {"topic", "message_id"} & set(refused)


def test_the_log_says_why_and_how_often_a_message_was_tried_from_the_queue(
    load: Callable[..., Function], course: str, capsys: pytest.CaptureFixture[str]
) -> None:
    webhook = load("webhook", POWERTOOLS_SERVICE_NAME=course)
    for content, reason in (
        (comment(course, token_id=""), ""),
        (comment(course, text="[]"), "not a JSON object"),
        (comment(course, cache=5), "cache must be a string"),
    ):
        webhook({"Records": [spilled_record(json.dumps(content), tries=3)]})
        lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
        [line] = [line for line in lines if line.get("message") == "still not stored"]
        assert (line["level"], line["reason"], line["tries"]) == ("WARNING", reason, 3)


@pytest.fixture
def spilled(environment: dict[str, str], course: str) -> Callable[[int], dict[str, Any]]:
    """Receive so many messages of the course from the spill queue, as Lambda hands them to the function."""
    return lambda count: receive_spilled(environment["SPILL_QUEUE_URL"], course, count)


@pytest.mark.parametrize("error", ["unavailable", "resource-exhausted", "permission-denied", "internal"])
def test_keeps_messages_that_momento_does_not_take_and_stores_them_later(
    error: str, webhook: Function, momento: Momento, course: str, spilled: Callable[[int], dict[str, Any]]
) -> None:
    message = comment(course, text=json.dumps({"courseId": course, "comment": "\u00fc \ufffe"}))
    momento.admin("/fail", rpcs="list-push-front", error=error)
    assert status(webhook(signed(message))) == (202, "queued")
    momento.admin("/clear-faults")
    assert failures(webhook(spilled(1))) == []
    assert momento.entries(course) == [
        {
            "userID": "taylor",
            "comment": "\u00fc \ufffe",
            "id": f"{message['event_timestamp']}-{message['topic_sequence_number']}",
            "publishedAt": message["event_timestamp"],
        }
    ]


def test_a_message_in_the_spill_queue_may_be_delivered_again_before_it_is_stored(
    webhook: Function, momento: Momento, course: str, spilled: Callable[[int], dict[str, Any]]
) -> None:
    message = signed(comment(course))
    momento.admin("/fail", rpcs="list-push-front", error="internal", count=1)
    assert status(webhook(message)) == (202, "queued")
    assert status(webhook(message)) == (200, "stored")
    assert failures(webhook(spilled(1))) == []
    assert len(momento.entries(course)) == 1


def test_stores_what_it_can_of_a_batch(
    webhook: Function, momento: Momento, course: str, spilled: Callable[[int], dict[str, Any]]
) -> None:
    momento.admin("/fail", rpcs="list-push-front", error="internal")
    for _ in range(3):
        assert status(webhook(signed(comment(course)))) == (202, "queued")
    momento.admin("/clear-faults")
    momento.admin("/fail", rpcs="list-push-front", error="internal", count=1)
    batch = spilled(3)
    assert failures(webhook(batch)) == [batch["Records"][0]["messageId"]]
    assert len(momento.entries(course)) == 2
    assert failures(webhook({"Records": batch["Records"][:1]})) == []
    assert len(momento.entries(course)) == 3


@pytest.mark.parametrize("text", ["", "[]", "{}", json.dumps({"cache": CACHE})])
def test_a_message_that_no_try_can_store_stays_in_the_queue(text: str, webhook: Function) -> None:
    assert failures(webhook({"Records": [spilled_record(text)]})) == ["1"]


def test_waits_longer_after_every_try(
    load: Callable[..., Function],
    aws_endpoint: str,
    course: str,
    spilled: Callable[[int], dict[str, Any]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with AwsProxy(aws_endpoint) as aws:
        monkeypatch.setenv("AWS_ENDPOINT_URL_SQS", aws.url)
        webhook = load("webhook", MOMENTO_LOCAL="127.0.0.1:9")
        assert status(webhook(signed(comment(course)))) == (202, "queued")
        batch = spilled(1)
        for tries in range(1, 16):
            batch["Records"][0]["attributes"]["ApproximateReceiveCount"] = str(tries)
            assert len(failures(webhook(batch))) == 1
    [kept] = aws.parameters_of("SendMessage")
    assert kept["DelaySeconds"] == 1
    pauses = [postponed["VisibilityTimeout"] for postponed in aws.parameters_of("ChangeMessageVisibility")]
    limits = [min(2**tries, 60) for tries in range(1, 16)]
    assert len(pauses) == len(limits)
    assert all(0.5 * most - 1 < pause <= most for pause, most in zip(pauses, limits, strict=True)), pauses


def test_answers_503_if_it_can_neither_write_nor_keep_a_message(
    load: Callable[..., Function], momento: Momento, course: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL_SQS", "http://127.0.0.1:9")
    webhook = load("webhook")
    message = signed(comment(course))
    momento.admin("/fail", rpcs="list-push-front", error="internal")
    answer = webhook(message)
    assert answer["statusCode"] == 503
    assert json.loads(answer["body"]) == {"message": "Service Unavailable"}
    momento.admin("/clear-faults")
    assert status(webhook(message)) == (200, "stored")
    assert len(momento.entries(course)) == 1


def test_a_connection_that_broke_costs_no_time(webhook: Function, momento: Momento, course: str) -> None:
    momento.admin("/fail", rpcs="list-push-front", error="unavailable", count=1)
    assert status(webhook(signed(comment(course)))) == (200, "stored")


def test_a_connection_that_broke_after_the_write_does_not_double_it(
    webhook: Function, momento: Momento, course: str
) -> None:
    momento.admin("/fail", rpcs="list-push-front", error="unavailable", count=1, when="after")
    assert status(webhook(signed(comment(course)))) == (200, "stored")
    assert len(momento.entries(course)) == 1


@pytest.mark.parametrize("trouble", [{"error": "internal"}, {"ms": 3000}])
def test_a_write_that_was_made_and_not_confirmed_is_found(
    trouble: dict[str, Any],
    webhook: Function,
    momento: Momento,
    course: str,
    spilled: Callable[[int], dict[str, Any]],
) -> None:
    command = "/fail" if "error" in trouble else "/delay"
    momento.admin(command, rpcs="list-push-front", count=1, when="after", **trouble)
    message = signed(comment(course))
    assert status(webhook(message)) == (202, "queued")
    assert failures(webhook(spilled(1))) == []
    assert status(webhook(message)) == (200, "duplicate")
    assert len(momento.entries(course)) == 1


def test_a_write_that_was_made_and_not_confirmed_is_found_by_another_delivery_too(
    load: Callable[..., Function], momento: Momento, course: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL_SQS", "http://127.0.0.1:9")
    webhook = load("webhook")
    message = signed(comment(course))
    momento.admin("/fail", rpcs="list-push-front", error="internal", count=1, when="after")
    assert webhook(message)["statusCode"] == 503
    assert status(webhook(message)) == (200, "stored")
    assert len(momento.entries(course)) == 1


def test_a_write_whose_process_died_before_it_was_recorded_is_found(
    load: Callable[..., Function],
    momento: Momento,
    environment: dict[str, str],
    aws_endpoint: str,
    course: str,
) -> None:
    """As a process that dies leaves it: written, and the record still says that it is being written."""
    with AwsProxy(aws_endpoint, UpdateItem="fail") as aws:
        webhook = load("webhook", AWS_ENDPOINT_URL_DYNAMODB=aws.url)
        message = signed(comment(course))
        assert status(webhook(message)) == (200, "stored")
        [(_, put)] = [call for call in aws.calls if call[0] == "PutItem"]
        aws.troubles.clear()
        record = put["Item"] | {"in_progress_expiration": {"N": str(int(time.time() * 1000) - 1)}}
        boto3.client("dynamodb").put_item(TableName=environment["IDEMPOTENCY_TABLE"], Item=record)
        assert status(webhook(message)) == (200, "stored")
        assert status(webhook(message)) == (200, "duplicate")
    assert len(momento.entries(course)) == 1


def test_a_message_that_waited_for_longer_than_its_record_is_kept_is_found(
    load: Callable[..., Function], momento: Momento, aws_endpoint: str, course: str
) -> None:
    message = comment(course)
    with AwsProxy(aws_endpoint) as aws:
        webhook = load("webhook", AWS_ENDPOINT_URL_DYNAMODB=aws.url)
        assert status(webhook(signed(message))) == (200, "stored")
        delete_record(aws)
        assert failures(webhook({"Records": [spilled_record(json.dumps(message))]})) == []
    assert len(momento.entries(course)) == 1


def test_a_write_without_a_record_is_a_success(
    load: Callable[..., Function], momento: Momento, aws_endpoint: str, course: str
) -> None:
    """If the answer were a failure, the message would be delivered again for nothing."""
    with AwsProxy(aws_endpoint, UpdateItem="fail") as aws:
        webhook = load("webhook", AWS_ENDPOINT_URL_DYNAMODB=aws.url)
        assert status(webhook(signed(comment(course)))) == (200, "stored")
    assert len(momento.entries(course)) == 1


def test_the_log_says_why_a_message_was_not_stored_even_if_its_record_cannot_be_released(
    load: Callable[..., Function],
    momento: Momento,
    aws_endpoint: str,
    course: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    momento.admin("/fail", rpcs="list-push-front", error="internal")
    with AwsProxy(aws_endpoint, UpdateItem="fail") as aws:
        webhook = load("webhook", POWERTOOLS_SERVICE_NAME=course, AWS_ENDPOINT_URL_DYNAMODB=aws.url)
        assert status(webhook(signed(comment(course)))) == (202, "queued")
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    reasons = {line["message"]: line["reason"] for line in lines if "reason" in line}
    assert set(reasons) == {"record not released", "not stored"}
    assert "INTERNAL" in reasons["not stored"]


def test_does_not_wait_for_its_own_record(
    load: Callable[..., Function], momento: Momento, aws_endpoint: str, course: str
) -> None:
    """Where the answer to a put is lost, the SDK puts again and is refused for what it has put itself."""
    with AwsProxy(aws_endpoint, PutItem="lose") as aws:
        webhook = load("webhook", AWS_ENDPOINT_URL_DYNAMODB=aws.url)
        assert status(webhook(signed(comment(course)))) == (200, "stored")
        assert [operation for operation, _ in aws.calls].count("PutItem") == 2
    assert len(momento.entries(course)) == 1


def test_keeps_messages_while_dynamodb_is_away(
    load: Callable[..., Function],
    webhook: Function,
    momento: Momento,
    course: str,
    spilled: Callable[[int], dict[str, Any]],
) -> None:
    without_table = load("webhook", AWS_ENDPOINT_URL_DYNAMODB="http://127.0.0.1:9")
    assert status(without_table(signed(comment(course)))) == (202, "queued")
    assert momento.entries(course) == []
    assert failures(webhook(spilled(1))) == []
    assert len(momento.entries(course)) == 1


@pytest.mark.parametrize("hanging", ["PutItem", "UpdateItem", "list-push-front", "all"])
def test_answers_in_time_if_a_service_hangs(
    hanging: str, load: Callable[..., Function], momento: Momento, aws_endpoint: str, course: str
) -> None:
    if hanging in {"list-push-front", "all"}:
        momento.admin("/delay", rpcs="list-push-front", ms=5000)
    troubles: dict[str, Trouble] = {"UpdateItem" if hanging == "all" else hanging: "hang"}
    with AwsProxy(aws_endpoint, **troubles) as aws:
        webhook = load("webhook", AWS_ENDPOINT_URL_DYNAMODB=aws.url)
        started = time.monotonic()
        answer = webhook(signed(comment(course)))
        took = time.monotonic() - started
    assert status(answer) == ((200, "stored") if hanging == "UpdateItem" else (202, "queued"))
    assert took < 4


def test_cannot_verify_without_the_signing_secret(
    load: Callable[..., Function], course: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL_SECRETS_MANAGER", "http://127.0.0.1:9")
    webhook = load("webhook")
    answer = webhook(signed(comment(course)))
    assert answer["statusCode"] == 503
    assert json.loads(answer["body"]) == {"message": "Service Unavailable"}


def test_keeps_messages_while_the_cache_is_missing(load: Callable[..., Function], course: str) -> None:
    webhook = load("webhook", CACHE_NAME="missing")
    assert status(webhook(signed(comment(course, cache="missing")))) == (202, "queued")


def test_remembers_a_message_for_the_configured_time(
    load: Callable[..., Function], aws_endpoint: str, course: str
) -> None:
    with AwsProxy(aws_endpoint) as aws:
        load("webhook", AWS_ENDPOINT_URL_DYNAMODB=aws.url)(signed(comment(course)))
    expiration = int(read_record(aws)["expiration"]["N"])
    assert time.time() + 3590 < expiration < time.time() + 3610


@pytest.fixture
def rotated(course: str) -> Callable[[str], None]:
    """Give the secret with the name of the course another value."""
    secrets = boto3.client("secretsmanager")
    secrets.create_secret(Name=course, SecretString="first")
    return lambda value: secrets.put_secret_value(SecretId=course, SecretString=value) and None


def test_accepts_both_versions_of_a_rotated_signing_secret(
    load: Callable[..., Function], course: str, rotated: Callable[[str], None]
) -> None:
    def signed_with(secret: str, webhook: Function) -> int:
        code: int = webhook(signed(comment(course), sign_with=secret))["statusCode"]
        return code

    webhook = load("webhook", WEBHOOK_SIGNING_SECRET=course)
    assert signed_with("first", webhook) == 200
    rotated("second")
    assert [signed_with(secret, webhook) for secret in ("first", "second", "first")] == [200, 200, 200]
    assert signed_with("third", webhook) == 403
    another = load("webhook", WEBHOOK_SIGNING_SECRET=course)
    assert [signed_with(secret, another) for secret in ("first", "second", "first")] == [200, 200, 200]
    rotated("third")
    latest = load("webhook", WEBHOOK_SIGNING_SECRET=course)
    assert [signed_with(secret, latest) for secret in ("third", "second", "first")] == [200, 200, 403]


def test_accepts_the_last_two_secrets_after_the_cached_one_is_replaced(
    load: Callable[..., Function],
    course: str,
    rotated: Callable[[str], None],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def answers(*secrets: str) -> list[int]:
        return [webhook(signed(comment(course), sign_with=secret))["statusCode"] for secret in secrets]

    monkeypatch.setenv("POWERTOOLS_PARAMETERS_MAX_AGE", "0")
    webhook = load("webhook", WEBHOOK_SIGNING_SECRET=course)
    assert answers("another") == [403]  # From now on, it does not look again for a while.
    rotated("second")
    assert answers("second", "first") == [200, 200]
    rotated("third")
    rotated("fourth")
    assert answers("fourth", "third", "second", "first") == [200, 200, 403, 403]


def test_accepts_the_previous_secret_after_it_could_not_be_read_at_first(
    load: Callable[..., Function],
    aws_endpoint: str,
    course: str,
    rotated: Callable[[str], None],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with AwsProxy(aws_endpoint, AWSPREVIOUS="fail") as aws:
        monkeypatch.setenv("AWS_ENDPOINT_URL_SECRETS_MANAGER", aws.url)
        webhook = load("webhook", WEBHOOK_SIGNING_SECRET=course)
        assert webhook(signed(comment(course), sign_with="first"))["statusCode"] == 200
        rotated("second")
        assert webhook(signed(comment(course), sign_with="second"))["statusCode"] == 503
        aws.troubles.clear()
        assert webhook(signed(comment(course), sign_with="first"))["statusCode"] == 200


NO_TEXT: list[dict[str, Any]] = [{"SecretString": "\n"}, {"SecretBinary": b"bytes"}]


def test_accepts_a_corrected_signing_secret_within_seconds(
    load: Callable[..., Function], course: str
) -> None:
    secrets = boto3.client("secretsmanager")
    secrets.create_secret(Name=course, SecretBinary=b"bytes")
    webhook = load("webhook", WEBHOOK_SIGNING_SECRET=course)
    assert webhook(signed(comment(course), sign_with="mended"))["statusCode"] == 503
    secrets.put_secret_value(SecretId=course, SecretString="mended")
    deadline = time.monotonic() + 10
    while status(webhook(signed(comment(course), sign_with="mended"))) != (200, "stored"):
        assert time.monotonic() < deadline
        time.sleep(0.2)


@pytest.mark.parametrize("no_text", NO_TEXT, ids=repr)
def test_a_binary_previous_signing_secret_does_no_harm(
    no_text: dict[str, Any], load: Callable[..., Function], course: str, rotated: Callable[[str], None]
) -> None:
    webhook = load("webhook", WEBHOOK_SIGNING_SECRET=course)
    assert status(webhook(signed(comment(course), sign_with="first"))) == (200, "stored")
    boto3.client("secretsmanager").put_secret_value(SecretId=course, **no_text)
    rotated("mended")
    assert status(webhook(signed(comment(course), sign_with="mended"))) == (200, "stored")
    assert webhook(signed(comment(course), sign_with="another"))["statusCode"] == 403


def test_wrong_signatures_do_not_make_it_read_the_secret_each_time(
    load: Callable[..., Function], aws_endpoint: str, course: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with AwsProxy(aws_endpoint) as aws:
        monkeypatch.setenv("AWS_ENDPOINT_URL_SECRETS_MANAGER", aws.url)
        webhook = load("webhook")
        forged = signed(comment(course), sign_with="another")
        assert {webhook(forged)["statusCode"] for _ in range(200)} == {403}
    assert len(aws.calls) == 3  # The current version, and once again both


def test_reads_the_api_key_again_when_momento_refuses_it(
    load: Callable[..., Function], momento: Momento, course: str, rotated: Callable[[str], None]
) -> None:
    rotated(make_api_key())
    webhook = load("webhook", MOMENTO_API_KEY_SECRET=course)
    # This error is not about the key. A refused key would make it read the secret again, which it does only
    # once in five seconds.
    momento.admin("/fail", rpcs="list-push-front", error="internal", count=1)
    assert status(webhook(signed(comment(course)))) == (202, "queued")
    rotated(momento.server.api_key)
    assert status(webhook(signed(comment(course)))) == (200, "stored")
    rotated("no key at all")
    assert status(webhook(signed(comment(course)))) == (200, "stored")


def test_keeps_messages_while_the_api_key_is_wrong(
    load: Callable[..., Function],
    momento: Momento,
    course: str,
    rotated: Callable[[str], None],
    spilled: Callable[[int], dict[str, Any]],
) -> None:
    webhook = load("webhook", MOMENTO_API_KEY_SECRET=course)
    assert status(webhook(signed(comment(course)))) == (202, "queued")
    rotated(make_api_key())
    kept = load("webhook", MOMENTO_API_KEY_SECRET=course)
    assert status(kept(signed(comment(course)))) == (202, "queued")
    rotated(momento.server.api_key)
    assert failures(load("webhook", MOMENTO_API_KEY_SECRET=course)(spilled(2))) == []
    assert len(momento.entries(course)) == 2


def test_recovers_after_an_outage_of_momento(webhook: Function, momento: Momento, course: str) -> None:
    assert status(webhook(signed(comment(course)))) == (200, "stored")
    momento.admin("/block")
    second = signed(comment(course))
    until = time.monotonic() + 3
    while time.monotonic() < until:
        assert status(webhook(second)) == (202, "queued")
    momento.admin("/unblock")
    assert status(webhook(second)) == (200, "stored")
    assert len(momento.entries(course)) == 2


def test_begins_only_an_attempt_that_can_end_in_time(
    webhook: Function, momento: Momento, course: str
) -> None:
    message = signed(comment(course))
    assert status(webhook(message, timeout=2.9)) == (202, "queued")
    assert momento.entries(course) == []
    assert status(webhook(message, timeout=3.9)) == (200, "stored")


def test_begins_a_second_attempt_only_if_it_can_end_in_time(
    webhook: Function, momento: Momento, course: str
) -> None:
    message = signed(comment(course))
    momento.admin("/fail", rpcs="list-push-front", error="unavailable", count=1)
    assert status(webhook(message, timeout=3.9)) == (202, "queued")
    momento.admin("/clear-faults")
    momento.admin("/fail", rpcs="list-push-front", error="unavailable", count=1)
    assert status(webhook(message, timeout=5)) == (200, "stored")


def test_a_copy_waits_to_see_whether_the_other_is_stored(
    load: Callable[..., Function],
    webhook: Function,
    aws_endpoint: str,
    environment: dict[str, str],
    course: str,
) -> None:
    """The first copy's process died in mid-write; until its time is up nobody knows of the message."""
    dynamodb = boto3.client("dynamodb")
    message = signed(comment(course))
    with AwsProxy(aws_endpoint) as aws:
        load("webhook", AWS_ENDPOINT_URL_DYNAMODB=aws.url)(message)
    record = read_record(aws)
    record |= {"status": {"S": "INPROGRESS"}}
    record |= {"in_progress_expiration": {"N": str(int((time.time() + 0.5) * 1000))}}
    dynamodb.put_item(TableName=environment["IDEMPOTENCY_TABLE"], Item=record)
    assert status(webhook(message)) == (200, "stored")
    record |= {"in_progress_expiration": {"N": str(int((time.time() + 60) * 1000))}}
    dynamodb.put_item(TableName=environment["IDEMPOTENCY_TABLE"], Item=record)
    assert status(webhook(message, timeout=3.2)) == (202, "queued")


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=5,
)


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    changes=st.dictionaries(st.sampled_from(sorted(comment(""))), json_values, min_size=1), raw=st.binary()
)
def test_a_refusal_names_the_fault_of_a_malformed_request(
    changes: dict[str, Any], raw: bytes, webhook: Function
) -> None:
    """A signed request is refused with 403 only for its time, and with 422 only for its publisher."""
    malformed = signed(comment("", text="no comment") | changes)
    causes = {"publish_timestamp": 403, "token_id": 422}
    refusals = {400, *(code for field, code in causes.items() if field in changes)}
    assert webhook(malformed)["statusCode"] in refusals
    assert webhook(signed(raw))["statusCode"] == 400
    assert webhook({**signed(raw), "headers": {}})["statusCode"] == 403
