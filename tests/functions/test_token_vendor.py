"""Who gets a token, what it permits, and the errors."""

from __future__ import annotations

import base64
import json
import time
import uuid
from collections.abc import Callable
from typing import Any

import boto3
import grpc
import pytest
from momento import TopicClient, TopicConfigurations
from momento.errors import MomentoErrorCode
from momento.responses import CacheGet, CacheListFetch, CacheListPushFront, CacheSet, TopicPublish
from momento.responses.mixins import ErrorResponseMixin

from local.momento.auth import make_api_key
from tests.support.functions import Function
from tests.support.momento import CACHE, TOPIC, Momento
from tests.support.sample_events import sample_event, sample_paths
from tests.support.token_requests import token_request


@pytest.fixture(scope="module")
def vendor(load: Callable[..., Function]) -> Function:
    return load("token_vendor")


@pytest.fixture(scope="module")
def vendor_of_all_topics(load: Callable[..., Function], all_topics: dict[str, str]) -> Function:
    return load("token_vendor", **all_topics)


def token(answer: dict[str, Any]) -> dict[str, Any]:
    assert answer["statusCode"] == 200, answer
    content: dict[str, Any] = json.loads(answer["body"])
    return content


def publish(momento: Momento, auth_token: str, topic: str = TOPIC) -> Any:
    with TopicClient(TopicConfigurations.Default.latest(), momento.credentials(auth_token)) as client:
        return client.publish(CACHE, topic, "hello")


def test_answers_as_the_contract_says(vendor: Function, user: str) -> None:
    before = time.time()
    answer = vendor(token_request(user))
    content = token(answer)
    names = {"authToken", "endpoint", "expiresAt", "tokenId", "cacheName", "topicName", "topics"}
    assert set(content) == names
    assert content["topics"] == [TOPIC]
    assert content["tokenId"] == user
    assert (content["cacheName"], content["topicName"]) == (CACHE, TOPIC)
    assert before + 30 * 60 - 1 <= content["expiresAt"] <= time.time() + 30 * 60
    assert json.loads(base64.b64decode(content["authToken"]))["endpoint"] == content["endpoint"]
    assert answer["headers"]["Cache-Control"] == "no-store"


def test_each_line_of_the_log_names_its_request(
    load: Callable[..., Function], user: str, capsys: pytest.CaptureFixture[str]
) -> None:
    vendor = load("token_vendor", POWERTOOLS_SERVICE_NAME=user)  # A logger of its own, which writes here.
    event = token_request(user)
    del event["requestContext"]["authorizer"]
    assert vendor(event)["statusCode"] == 401
    [line] = [json.loads(text) for text in capsys.readouterr().out.splitlines() if "no identity" in text]
    assert line["correlation_id"] == line["function_request_id"] == "request"


@pytest.mark.parametrize("path", sample_paths("token_vendor"))
def test_answers_each_sample_event_as_its_name_says(path: str, vendor_of_all_topics: Function) -> None:
    answer = vendor_of_all_topics(sample_event(path))
    assert answer["statusCode"] == int(path.split("/")[1].split("_", maxsplit=1)[0])
    assert answer["headers"]["Content-Type"] == "application/json"
    assert answer["statusCode"] == 200 or list(json.loads(answer["body"])) == ["message"]


def test_messages_carry_the_identity_of_the_tokens_user(
    vendor: Function, momento: Momento, user: str
) -> None:
    auth_token = token(vendor(token_request(user, {"tokenId": "mallory", "sub": "mallory"})))["authToken"]
    with momento.subscribe(auth_token) as subscription:
        assert isinstance(publish(momento, auth_token), TopicPublish.Success)
        assert subscription.next() == (user, "hello")


def test_the_token_may_use_no_other_topic(vendor: Function, momento: Momento, user: str) -> None:
    auth_token = token(vendor(token_request(user)))["authToken"]
    refused = publish(momento, auth_token, topic="another")
    assert isinstance(refused, TopicPublish.Error)
    assert refused.error_code is MomentoErrorCode.PERMISSION_ERROR
    with pytest.raises(grpc.RpcError) as error:
        momento.subscribe(auth_token, topic="another")
    assert error.value.code() is grpc.StatusCode.PERMISSION_DENIED


def test_the_token_may_read_only_the_requested_courses(vendor: Function, momento: Momento, user: str) -> None:
    mine, number, other = f"course-{uuid.uuid4()}", time.time_ns(), f"course-{uuid.uuid4()}"
    with momento.cache_client() as owner:
        for name in (mine, str(number), other):
            assert isinstance(owner.list_push_front(CACHE, name, "entry"), CacheListPushFront.Success)
    auth_token = token(vendor(token_request(user, {"courseIds": [mine, number]})))["authToken"]
    with momento.cache_client(auth_token) as cache:
        assert isinstance(cache.list_fetch(CACHE, mine), CacheListFetch.Hit)
        assert isinstance(cache.list_fetch(CACHE, str(number)), CacheListFetch.Hit)
        refused = [
            cache.list_fetch(CACHE, other),
            cache.get(CACHE, other),
            cache.list_push_front(CACHE, mine, "forged"),
            cache.set(CACHE, mine, "forged"),
            cache.delete(CACHE, mine),
            cache.list_fetch("another", mine),
        ]
    for response in refused:
        assert isinstance(response, ErrorResponseMixin), response
        assert response.error_code is MomentoErrorCode.PERMISSION_ERROR


def test_without_courses_the_token_may_read_nothing(vendor: Function, momento: Momento, user: str) -> None:
    auth_token = token(vendor(token_request(user)))["authToken"]
    with momento.cache_client(auth_token) as cache:
        assert isinstance(cache.get(CACHE, "anything"), CacheGet.Error)
        assert isinstance(cache.set(CACHE, "anything", "x"), CacheSet.Error)


def test_the_token_may_not_mint_tokens(vendor: Function, momento: Momento, user: str) -> None:
    from momento import AuthClient
    from momento.auth.access_control.disposable_token_scopes import DisposableTokenScopes
    from momento.config.auth_configurations import AuthConfigurations
    from momento.responses import GenerateDisposableToken
    from momento.utilities import ExpiresIn

    auth_token = token(vendor(token_request(user)))["authToken"]
    client = AuthClient(AuthConfigurations.Laptop.latest(), momento.credentials(auth_token))
    scope = DisposableTokenScopes.topic_publish_only(CACHE, TOPIC)
    assert isinstance(
        client.generate_disposable_token(scope, ExpiresIn.minutes(5)), GenerateDisposableToken.Error
    )


def test_reuses_a_token_only_for_the_same_identity_and_scope(vendor: Function, user: str) -> None:
    first = token(vendor(token_request(user, {"courseIds": ["1", 2]})))
    assert token(vendor(token_request(user, {"courseIds": ["2", 1, "1"]}))) == first
    for other in (
        token_request(user, {"courseIds": ["1"]}),
        token_request(user + "x", {"courseIds": ["1", 2]}),
    ):
        assert token(vendor(other))["authToken"] != first["authToken"]


def test_reuses_no_token_with_less_than_half_of_its_life_left(vendor: Function, user: str) -> None:
    from token_vendor.settings import Settings
    from token_vendor.token_vendor import TokenVendor

    settings: Settings = vendor.module.settings
    four_seconds = Settings(settings.momento, settings.token_id_claim, token_lifetime_seconds=4)
    short = TokenVendor(four_seconds, vendor.module.topics)
    first = short.token(user, {}, {})
    deadline = time.monotonic() + 10
    while (latest := short.token(user, {}, {})) == first:
        assert time.time() < first.expires_at - 1
        assert time.monotonic() < deadline
        time.sleep(0.05)
    assert latest.expires_at > first.expires_at


def test_each_topic_gives_its_own_read_permissions(vendor: Function, user: str) -> None:
    by_topic = token(vendor(token_request(user, {"reads": {"comment": ["1", 2]}})))
    assert token(vendor(token_request(user, {"courseIds": ["1", 2]}))) == by_topic
    assert token(vendor(token_request(user, {"courseIds": ["1"], "reads": {"comment": [2]}}))) == by_topic


def test_a_user_may_read_only_the_courses_in_their_claim(load: Callable[..., Function], user: str) -> None:
    vendor = load("token_vendor", COURSE_IDS_CLAIM="https://example.com/courses")
    claims = {"https://example.com/courses": "[math 7]"}
    token(vendor(token_request(user, {"courseIds": ["math", 7]}, **claims)))
    token(vendor(token_request(user, {"courseIds": []}, **claims)))
    for refused in (
        vendor(token_request(user, {"courseIds": ["math", "art"]}, **claims)),
        vendor(token_request(user, {"reads": {"comment": ["art"]}}, **claims)),
        vendor(token_request(user, {"courseIds": ["math"]})),
    ):
        assert refused["statusCode"] == 403
        assert list(json.loads(refused["body"])) == ["message"]


def test_one_user_cannot_use_up_the_minting_limit(vendor: Function, user: str) -> None:
    answers = [vendor(token_request(user, {"courseIds": [course]})) for course in range(11)]
    assert [answer["statusCode"] for answer in answers] == [200] * 10 + [429]
    assert 1 <= int(answers[-1]["headers"]["Retry-After"]) <= 2
    token(vendor(token_request(user, {"courseIds": [0]})))
    token(vendor(token_request(f"{user}x", {"courseIds": [11]})))


def test_a_user_who_has_used_up_the_limit_gets_one_token_every_two_seconds(
    vendor: Function, user: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = int(time.time())
    courses = iter(range(100))

    def ask(seconds: float) -> tuple[int, str | None]:
        monkeypatch.setattr(time, "time", lambda: now + seconds)
        answer = vendor(token_request(user, {"courseIds": [next(courses)]}))
        return answer["statusCode"], answer["headers"].get("Retry-After")

    assert [ask(0) for _ in range(10)] == [(200, None)] * 10
    assert [ask(0), ask(0.5), ask(1.5)] == [(429, "2"), (429, "2"), (429, "1")]
    assert [ask(2), ask(2), ask(3.5), ask(4)] == [(200, None), (429, "2"), (429, "1"), (200, None)]
    assert [ask(1000) for _ in range(11)] == [(200, None)] * 10 + [(429, "2")]


def test_requests_that_reach_momentos_minting_limit_count(
    vendor: Function, momento: Momento, user: str
) -> None:
    momento.admin("/fail", rpcs="generate-disposable-token", error="resource-exhausted")
    for course in range(10):
        answer = vendor(token_request(user, {"courseIds": [course]}))
        assert (answer["statusCode"], answer["headers"]["Retry-After"]) == (429, "1")
    momento.admin("/clear-faults")
    assert vendor(token_request(user, {"courseIds": [10]}))["statusCode"] == 429


def test_a_token_that_could_not_be_minted_does_not_count(
    vendor: Function, momento: Momento, user: str
) -> None:
    momento.admin("/fail", rpcs="generate-disposable-token", error="internal")
    statuses = {vendor(token_request(user, {"courseIds": [course]}))["statusCode"] for course in range(12)}
    momento.admin("/clear-faults")
    assert statuses == {502}
    token(vendor(token_request(user)))


def test_reuses_no_token_of_a_replaced_api_key(
    load: Callable[..., Function], momento: Momento, user: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    boto3.client("secretsmanager").create_secret(Name=user, SecretString=momento.server.api_key)
    monkeypatch.setenv("POWERTOOLS_PARAMETERS_MAX_AGE", "0")
    vendor = load("token_vendor", MOMENTO_API_KEY_SECRET=user)
    before = token(vendor(token_request(user)))
    assert token(vendor(token_request(user))) == before
    boto3.client("secretsmanager").put_secret_value(SecretId=user, SecretString=make_api_key())
    assert vendor(token_request(user))["statusCode"] == 502


@pytest.mark.parametrize("identity", [None, "", "x" * 65, 5, "line\nbreak", "\ud800", ["taylor"]])
def test_refuses_identities_that_do_not_fit_a_token(identity: Any, vendor: Function) -> None:
    assert vendor(token_request(identity))["statusCode"] == 401


@pytest.mark.parametrize(
    "context",
    [
        {},
        {"authorizer": None},
        {"authorizer": {}},
        {"authorizer": {"claims": {"sub": "taylor"}}},
        {"authorizer": {"lambda": {"sub": "taylor"}}},
        {"authorizer": {"jwt": {"claims": None}}},
        {"authorizer": {"jwt": {"claims": []}}},
    ],
)
def test_refuses_requests_without_verified_claims(context: dict[str, Any], vendor: Function) -> None:
    answer = vendor(
        {"requestContext": context, "headers": {"authorization": "Bearer x"}, "body": '{"sub":"me"}'}
    )
    assert (answer["statusCode"], json.loads(answer["body"])) == (401, {"message": "Unauthorized"})


def test_uses_the_configured_claim(load: Callable[..., Function], user: str) -> None:
    vendor = load("token_vendor", TOKEN_ID_CLAIM="cognito:username")
    assert token(vendor(token_request("a-sub", **{"cognito:username": user})))["tokenId"] == user
    assert vendor(token_request("a-sub"))["statusCode"] == 401


@pytest.mark.parametrize("body", ["", "  ", "{}", '{"courseIds": []}', '{"other": 1}'])
def test_the_body_is_optional(body: str, vendor: Function, user: str) -> None:
    token(vendor(token_request(user, body)))
    token(vendor({**token_request(user, base64.b64encode(body.encode()).decode()), "isBase64Encoded": True}))


@pytest.mark.parametrize(
    "body",
    [
        "no json",
        "[]",
        "null",
        "1",
        "[" * 100_000,
        '{"courseIds": ' * 100_000,
        '{"courseIds": null}',
        '{"courseIds": "123"}',
        '{"courseIds": {"0": "123"}}',
        '{"courseIds": [null]}',
        '{"courseIds": [true]}',
        '{"courseIds": [1.5]}',
        '{"courseIds": [""]}',
        '{"courseIds": [["1"]]}',
        '{"courseIds": ["\\ud800"]}',
        json.dumps({"courseIds": ["x" * 129]}),
        json.dumps({"courseIds": list(range(11))}),
        '{"courseIds": [' + "9" * 5000 + "]}",
        '{"reads": null}',
        '{"reads": []}',
        '{"reads": {"comment": null}}',
        '{"reads": {"comment": "123"}}',
        '{"reads": {"comment": [null]}}',
        '{"reads": {"unknown": ["1"]}}',
        '{"reads": {"comment": ["comment:1"]}}',
        json.dumps({"reads": {"comment": list(range(11))}}),
        json.dumps({"courseIds": list(range(6)), "reads": {"comment": list(range(6, 11))}}),
    ],
    ids=lambda body: body[:24],
)
def test_names_the_fault_of_a_body(body: str, vendor: Function, user: str) -> None:
    answer = vendor(token_request(user, body))
    assert answer["statusCode"] == 400
    assert json.loads(answer["body"])["message"].startswith("Bad request: ")


@pytest.mark.parametrize(
    "body",
    [
        {"courseIds": list(range(10))},
        {"courseIds": list(range(5)), "reads": {"comment": list(range(5, 10))}},
    ],
)
def test_a_token_may_read_ten_ids(body: dict[str, Any], vendor: Function, user: str) -> None:
    token(vendor(token_request(user, body)))


def test_a_token_has_no_more_permissions_than_momento_puts_into_one(
    vendor_of_all_topics: Function, user: str
) -> None:
    """5 for the topics, 1 for each course, and 2 for each room."""
    rooms = [f"room {number}" for number in range(7)]
    token(vendor_of_all_topics(token_request(user, {"reads": {"comment": ["1"], "chat": rooms}})))
    refused = vendor_of_all_topics(token_request(user, {"reads": {"comment": ["1", "2"], "chat": rooms}}))
    assert refused["statusCode"] == 400
    said = json.loads(refused["body"])["message"]
    assert "needs 21 permissions, and a token has 20 at most" in said


@pytest.mark.parametrize(
    ("error", "status"),
    [
        ("resource-exhausted", 429),
        ("unavailable", 502),
        ("internal", 502),
        ("unauthenticated", 502),
        ("permission-denied", 502),
    ],
)
def test_says_that_momento_failed_without_details(
    error: str, status: int, vendor: Function, momento: Momento, user: str
) -> None:
    momento.admin("/fail", rpcs="generate-disposable-token", error=error)
    answer = vendor(token_request(user))
    assert answer["statusCode"] == status
    assert error not in answer["body"].lower()
    assert ("Retry-After" in answer["headers"]) == (status == 429)
    momento.admin("/clear-faults")
    token(vendor(token_request(user)))


def test_asks_momento_again_after_a_broken_connection(vendor: Function, momento: Momento, user: str) -> None:
    momento.admin("/fail", rpcs="generate-disposable-token", error="unavailable", count=1)
    token(vendor(token_request(user)))


def test_answers_in_time_while_momento_is_away(vendor: Function, momento: Momento, user: str) -> None:
    momento.admin("/block")
    started = time.monotonic()
    assert vendor(token_request(user))["statusCode"] == 502
    assert time.monotonic() - started < 4


def test_accepts_a_v1_key(load: Callable[..., Function], momento: Momento, user: str) -> None:
    v1_key = json.dumps({"endpoint": "momento.example.com", "api_key": momento.server.api_key})
    boto3.client("secretsmanager").create_secret(
        Name="v1-key", SecretString=base64.b64encode(v1_key.encode()).decode()
    )
    vendor = load("token_vendor", MOMENTO_API_KEY_SECRET="v1-key", MOMENTO_ENDPOINT="")
    token(vendor(token_request(user)))


@pytest.mark.parametrize("changes", [{"MOMENTO_API_KEY_SECRET": "missing"}, {"MOMENTO_ENDPOINT": ""}])
def test_tells_callers_nothing_about_its_own_failures(
    changes: dict[str, str], load: Callable[..., Function], user: str
) -> None:
    answer = load("token_vendor", **changes)(token_request(user))
    assert (answer["statusCode"], json.loads(answer["body"])) == (500, {"message": "Internal Server Error"})


def test_reads_the_api_key_again_when_momento_refuses_it(
    load: Callable[..., Function], momento: Momento, user: str
) -> None:
    secrets = boto3.client("secretsmanager")
    secrets.create_secret(Name=user, SecretString=make_api_key())
    vendor = load("token_vendor", MOMENTO_API_KEY_SECRET=user)
    momento.admin("/fail", rpcs="generate-disposable-token", error="unavailable")
    assert vendor(token_request(user))["statusCode"] == 502
    momento.admin("/clear-faults")
    secrets.put_secret_value(SecretId=user, SecretString=momento.server.api_key)
    token(vendor(token_request(user)))
