"""From sign-in to the stored comment, and everything that must not get there."""

from __future__ import annotations

import base64
import json
import shutil
import subprocess
import sys
import time
import uuid
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import jwt as pyjwt
import pytest
from momento import TopicClient, TopicConfigurations
from moto.utilities.utils import load_resource

from local.sam.sample_events import SampleEvent, sample_events
from tests.support.http import post
from tests.support.project import ROOT
from tests.support.running_stack import Stack, api_key_in, published
from tests.support.waiting import wait_until


def comment(course: str, text: str = "well said") -> str:
    return json.dumps({"courseId": course, "comment": text})


def test_the_facts_name_every_address(stack: Stack) -> None:
    assert set(stack.facts) == {
        "momento",
        "token_url",
        "webhook_url",
        "lambda_url",
        "aws_endpoint_url",
        "web_url",
        "cache",
        "topic",
        "topics",
        "user_pool_id",
        "user_pool_client_id",
        "users",
        "signing_secret",
        "message_source",
        "spill_queue_url",
        "dead_letter_queue_url",
    }
    assert set(stack.facts["momento"]) == {"host", "port", "web_url", "admin_url", "api_key"}
    assert all(set(user) == {"username", "password"} for user in stack.facts["users"])
    assert len(stack.facts["users"]) >= 2


def test_a_comment_is_stored_under_the_name_of_the_signed_in_user(
    stack: Stack, course: str, auth_token: str
) -> None:
    before = time.time()
    published(stack.publish(auth_token, comment(course)))
    (entry,) = stack.wait_for_entries(course, 1)
    assert (entry["userID"], entry["comment"]) == ("taylor", "well said")
    assert before - 1 < entry["publishedAt"] / 1000 < time.time() + 1
    assert stack.entries(course, auth_token) == [entry]


def test_two_people_read_each_others_comments(stack: Stack, course: str) -> None:
    for name in ("taylor", "jordan"):
        token = stack.token(stack.jwt(name), {"courseIds": [course]}).json["authToken"]
        published(stack.publish(token, comment(course, f"{name} was here")))
        stack.wait_for_entries(course, 1 if name == "taylor" else 2)
    entries = [(entry["userID"], entry["comment"]) for entry in stack.entries(course, token)]
    assert entries == [("jordan", "jordan was here"), ("taylor", "taylor was here")]


def test_services_publish_as_users(stack: Stack, course: str) -> None:
    event = {
        "messages": [
            {"userId": "riley", "courseId": course, "comment": "one"},
            {"userId": "", "courseId": course, "comment": "nobody"},
            {"userId": "sam", "courseId": course, "comment": "two"},
        ]
    }
    answer = stack.invoke("PublisherFunction", event)
    assert answer["published"] == 2
    assert [(one["index"], one["retryable"]) for one in answer["failed"]] == [(1, False)]
    assert {entry["userID"] for entry in stack.wait_for_entries(course, 2)} == {"riley", "sam"}


def test_each_function_that_answers_counts_its_cold_starts(stack: Stack, course: str) -> None:
    stack.token(stack.jwt())
    stack.invoke("PublisherFunction", {"userId": "riley", "courseId": course, "comment": "one"})
    stack.wait_for_entries(course, 1)
    functions = ("TokenVendorFunction", "PublisherFunction", "WebhookFunction")
    logs = [stack.state_dir / "logs" / f"{function}.log" for function in functions]
    wait_until(lambda: all('"ColdStart":[1.0]' in log.read_text() for log in logs))


def test_the_publisher_says_what_is_wrong_with_an_event(stack: Stack) -> None:
    answer = stack.invoke("PublisherFunction", {"comment": "by whom?"})
    assert answer["errorType"] == "InvalidInputError"
    assert "userId" in answer["errorMessage"]


def test_a_message_without_an_identity_is_not_stored(stack: Stack, course: str) -> None:
    reason = "the publisher has no identity"
    refusals = stack.logs().count(reason)
    with TopicClient(TopicConfigurations.Default.latest(), stack.credentials()) as client:
        published(client.publish(stack.facts["cache"], stack.facts["topic"], comment(course, "nobody")))
    stack.wait_for_log(reason, times=refusals + 1)
    published(stack.publish(stack.token(stack.jwt()).json["authToken"], comment(course, "taylor")))
    assert [entry["comment"] for entry in stack.wait_for_entries(course, 1)] == ["taylor"]


# The token API


def resign(jwt: str, **changes: Any) -> str:
    """Return the same JWT with other claims, signed with the pool's own key."""
    claims = pyjwt.decode(jwt, options={"verify_signature": False}) | changes
    headers = pyjwt.get_unverified_header(jwt)
    key = pyjwt.PyJWK(load_resource("cognitoidp/resources/jwks-private.json"), algorithm="RS256")
    return pyjwt.encode(claims, key, algorithm="RS256", headers={"kid": headers["kid"]})


def unsigned(jwt: str) -> str:
    def part(content: Any) -> str:
        return base64.urlsafe_b64encode(json.dumps(content).encode()).rstrip(b"=").decode()

    return f"{part({'alg': 'none', 'typ': 'JWT'})}.{jwt.split('.')[1]}."


def test_a_signed_in_user_gets_a_token_with_their_own_name(stack: Stack) -> None:
    answer = stack.token(stack.jwt("jordan"), {"tokenId": "taylor", "token_id": "taylor"})
    assert answer.status == 200
    assert answer.json["tokenId"] == "jordan"
    assert answer.headers["Cache-Control"] == "no-store"
    assert stack.token(resign(stack.jwt("jordan"))).status == 200


@pytest.mark.parametrize(
    "forge",
    [
        lambda jwt: None,
        lambda jwt: "",
        lambda jwt: "no-jwt",
        lambda jwt: jwt[:-8] + "AAAAAAAA",
        lambda jwt: resign(jwt, exp=int(time.time()) - 60),
        lambda jwt: resign(jwt, nbf=int(time.time()) + 600),
        lambda jwt: resign(jwt, iss="https://issuer.example.com"),
        lambda jwt: resign(jwt, aud="another-client"),
        lambda jwt: resign(jwt, **{"cognito:username": "x" * 65}),
        lambda jwt: resign(jwt, **{"cognito:username": ""}),
        unsigned,
        lambda jwt: pyjwt.encode({"sub": "taylor"}, "secret-of-mine-that-is-long-enough", algorithm="HS256"),
    ],
    ids=[
        "missing",
        "empty",
        "no jwt",
        "forged",
        "expired",
        "not yet valid",
        "other issuer",
        "other audience",
        "identity too long",
        "no identity",
        "alg none",
        "HS256",
    ],
)
def test_nobody_else_gets_a_token(forge: Callable[[str], str | None], stack: Stack) -> None:
    answer = stack.token(forge(stack.jwt()), {"courseIds": ["1"]})
    assert (answer.status, answer.json) == (401, {"message": "Unauthorized"})


def test_the_token_api_says_what_is_wrong_with_a_body(stack: Stack) -> None:
    answer = stack.token(stack.jwt(), {"courseIds": "all"})
    assert answer.status == 400
    assert "courseIds" in answer.json["message"]


# The webhook


def test_twenty_copies_at_once_are_one_comment(stack: Stack, course: str) -> None:
    body = stack.webhook_body(course)
    with ThreadPoolExecutor(20) as pool:
        answers = list(
            pool.map(lambda _: stack.webhook(body, **{"Momento-Signature": stack.signature(body)}), range(20))
        )
    assert Counter((one.status, one.json["status"]) for one in answers) == {
        (200, "stored"): 1,
        (200, "duplicate"): 19,
    }
    assert len(stack.entries(course)) == 1


def test_bodies_of_any_content_type_are_verified_as_sent(stack: Stack, course: str) -> None:
    body = stack.webhook_body(course)
    headers = {"Content-Type": "application/octet-stream", "momento-signature": stack.signature(body)}
    assert stack.webhook(body, **headers).json == {"status": "stored"}


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"", 400),
        (b"\xff\xfe\x00", 400),
        (b"[1, 2]", 400),
        (b"[" * 1_000_000, 400),
        (b'{"publish_timestamp": 1' + b"0" * 1_000_000 + b"}", 400),
        (b" " * 5_000_000, 400),
    ],
    ids=["empty", "not UTF-8", "no object", "deep", "long number", "huge"],
)
def test_signed_nonsense_is_a_bad_request_and_unsigned_nonsense_is_forbidden(
    body: bytes, status: int, stack: Stack
) -> None:
    assert stack.webhook(body, **{"momento-signature": stack.signature(body)}).status == status
    assert stack.webhook(body).status == 403
    assert stack.webhook(body, **{"momento-signature": stack.signature(body).upper()}).status == 403
    assert stack.webhook(body, **{"momento-signature": "0" * 64}).status == 403


@pytest.mark.parametrize("sample", sample_events(), ids=lambda sample: sample.name)
def test_sample_events_are_answered_as_their_names_say(sample: SampleEvent, stack: Stack) -> None:
    event = sample.load(stack.facts["signing_secret"])
    if sample.function == "WebhookFunction":
        answer = stack.webhook(event["body"].encode(), **event["headers"])
        assert sample.accepts({"statusCode": answer.status, "body": answer.body.decode()})
        event = sample.load(stack.facts["signing_secret"])
    assert sample.accepts(stack.invoke(sample.function, event))


@pytest.mark.skipif(shutil.which("curl") is None, reason="needs curl")
def test_the_curl_command_for_a_sample_request_works(stack: Stack) -> None:
    sample = "events/webhook/200_stored.json"
    state_dir = str(stack.state_dir)
    command = [sys.executable, "-m", "local.sign_event", sample, "--curl", "--state-dir", state_dir]
    curl = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    answer = subprocess.run(curl, shell=True, capture_output=True, text=True, check=True).stdout  # noqa: S602
    assert answer.startswith("HTTP/1.1 200")
    assert answer.endswith('{"status": "stored"}')


def test_a_message_that_momento_cannot_store_is_stored_later(stack: Stack, course: str) -> None:
    body = stack.webhook_body(course)
    headers = {"momento-signature": stack.signature(body)}
    admin = stack.facts["momento"]["admin_url"]
    post(f"{admin}/fail?rpcs=list-push-front&error=unavailable", b"", {})
    try:
        answer = stack.webhook(body, **headers)
        assert (answer.status, answer.json) == (202, {"status": "queued"})
        assert stack.entries(course) == []
    finally:
        post(f"{admin}/clear-faults", b"", {})
    assert len(stack.wait_for_entries(course, 1)) == 1
    assert stack.webhook(body, **headers).json == {"status": "duplicate"}
    assert len(stack.entries(course)) == 1


def test_a_dead_letter_is_stored_once_it_is_redriven(stack: Stack, course: str) -> None:
    sqs = stack.aws("sqs")
    urls = [stack.facts["dead_letter_queue_url"], stack.facts["spill_queue_url"]]
    names = ["QueueArn"]
    dead_letters, spilled = (
        sqs.get_queue_attributes(QueueUrl=url, AttributeNames=names)["Attributes"]["QueueArn"] for url in urls
    )
    sqs.send_message(QueueUrl=urls[0], MessageBody=stack.webhook_body(course).decode())
    sqs.start_message_move_task(SourceArn=dead_letters, DestinationArn=spilled)
    [entry] = stack.wait_for_entries(course, 1)
    assert entry["userID"] == "taylor"


def test_nothing_secret_or_personal_is_logged(stack: Stack, course: str) -> None:
    jwt = stack.jwt("taylor")
    token = stack.token(jwt, {"courseIds": [course]}).json["authToken"]
    marked = f"marked-{uuid.uuid4()}"
    published(stack.publish(token, comment(course, marked)))
    user = f"user-{uuid.uuid4()}"
    stack.invoke("PublisherFunction", {"userId": user, "courseId": course, "comment": marked})
    stack.invoke("PublisherFunction", {"userId": user, "courseId": course, "comment": marked * 200})
    stack.wait_for_entries(course, 2)
    refused = stack.webhook_body(course, text=marked)
    stack.webhook(refused, **{"momento-signature": stack.signature(refused)})
    stack.webhook(refused, **{"momento-signature": marked})
    stack.token(jwt, {"courseIds": {marked: marked}})
    refused_users = '"message":"no identity"'
    refusals = stack.logs().count(refused_users)
    claims = {"cognito:username": marked * 2, "email": marked}
    stack.token(resign(jwt, **claims))
    event = {
        "requestContext": {"authorizer": {"jwt": {"claims": claims}}},
        "body": json.dumps({marked: marked}),
    }
    assert stack.invoke("TokenVendorFunction", event)["statusCode"] == 401
    stack.wait_for_log(refused_users, times=refusals + 2)
    logs = stack.logs()
    assert '"message":"stored"' in logs
    assert '"message":"refused"' in logs
    for secret in (
        marked,
        user,
        "taylor",
        jwt,
        jwt.split(".")[2],
        token,
        api_key_in(token),
        stack.signature(refused),
        stack.facts["signing_secret"],
        stack.facts["momento"]["api_key"],
        course,
    ):
        assert secret not in logs
