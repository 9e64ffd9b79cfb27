"""A connection that hangs, as if a load balancer had forgotten it, costs one call at most."""

from __future__ import annotations

import json
import time
import uuid
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from local.sign_event import sign_event
from tests.black_hole import BlackHole
from tests.function_harness import SIGNING_SECRET, Function, Momento, sample_event


@pytest.fixture
def proxy(momento: Momento) -> Iterator[BlackHole]:
    with BlackHole(momento.server.host, momento.server.port) as proxy:
        yield proxy


@pytest.fixture
def user() -> str:
    return f"user-{uuid.uuid4()}"


def token_request(user: str, course: int) -> dict[str, Any]:
    claims = {"sub": user}
    return {
        "requestContext": {"requestId": "request", "authorizer": {"jwt": {"claims": claims}}},
        "body": json.dumps({"courseIds": [course]}),
    }


def comment(user: str) -> dict[str, Any]:
    return {"userId": user, "courseId": 1, "comment": "well said"}


def delivery(course: str) -> dict[str, Any]:
    event = sample_event("webhook/200_stored.json")
    fields = json.loads(event["body"])
    fields["text"] = json.dumps({"courseId": course, "comment": "well said", "id": uuid.uuid4().hex})
    return sign_event({**event, "body": json.dumps(fields)}, SIGNING_SECRET, time.time())


def test_the_token_vendor_mints_over_a_new_connection(
    load: Callable[..., Function], proxy: BlackHole, user: str
) -> None:
    vendor = load("token_vendor", MOMENTO_LOCAL=proxy.address)
    assert vendor(token_request(user, 1))["statusCode"] == 200
    proxy.swallow()
    statuses = [vendor(token_request(user, course))["statusCode"] for course in (2, 3)]
    assert statuses in ([502, 200], [200, 200])  # The keepalive may find it before the call does.


def test_the_publisher_publishes_over_a_new_connection(
    load: Callable[..., Function], proxy: BlackHole, user: str
) -> None:
    publisher = load("publisher", MOMENTO_LOCAL=proxy.address)
    assert publisher(comment(user))["published"] == 1
    proxy.swallow()
    answers = [publisher(comment(user)) for _ in range(2)]
    assert answers[1]["published"] == 1
    assert answers[0]["published"] == 1 or answers[0]["failed"][0]["retryable"]


def test_the_webhook_writes_over_a_new_connection(
    load: Callable[..., Function], proxy: BlackHole, momento: Momento
) -> None:
    course = f"course-{uuid.uuid4()}"
    webhook = load("webhook", MOMENTO_LOCAL=proxy.address)
    assert webhook(delivery(course))["statusCode"] == 200
    proxy.swallow()
    assert webhook(delivery(course))["statusCode"] in {200, 202}
    assert webhook(delivery(course))["statusCode"] == 200
    assert len(momento.entries(course)) >= 2


def test_a_connection_that_was_idle_for_minutes_is_replaced_before_the_call(
    load: Callable[..., Function], proxy: BlackHole, user: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    publisher = load("publisher", MOMENTO_LOCAL=proxy.address)
    assert publisher(comment(user))["published"] == 1
    proxy.swallow()
    now = time.time
    monkeypatch.setattr(time, "time", lambda: now() + 241)
    assert publisher(comment(user)) == {"published": 1, "failed": []}
