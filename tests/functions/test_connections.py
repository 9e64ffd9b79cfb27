"""A connection that hangs, as if a load balancer had forgotten it, costs one call at most."""

from __future__ import annotations

import importlib
import json
import socket
import time
import uuid
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from local.sign_event import sign_event
from tests.support.black_hole import BlackHole, black_hole
from tests.support.functions import Function
from tests.support.momento import CACHE, Momento
from tests.support.sample_events import sample_event
from tests.support.token_requests import token_request
from tests.support.webhook_requests import SIGNING_SECRET


@pytest.fixture
def proxy(momento: Momento) -> Iterator[BlackHole]:
    with black_hole(momento.server.port) as proxy:
        yield proxy


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
    assert vendor(token_request(user, {"courseIds": [1]}))["statusCode"] == 200
    proxy.swallow()
    vendor(token_request(user, {"courseIds": [2]}))  # This fails unless the keepalive finds it before.
    assert vendor(token_request(user, {"courseIds": [3]}))["statusCode"] == 200
    assert proxy.accepted >= 2


def test_the_publisher_publishes_over_a_new_connection(
    load: Callable[..., Function], proxy: BlackHole, user: str
) -> None:
    publisher = load("publisher", MOMENTO_LOCAL=proxy.address)
    assert publisher(comment(user))["published"] == 1
    proxy.swallow()
    first = publisher(comment(user))  # This fails unless the keepalive finds it before.
    assert all(failure["retryable"] for failure in first["failed"])
    assert publisher(comment(user))["published"] == 1
    assert proxy.accepted >= 3


def test_the_webhook_writes_over_a_new_connection(
    load: Callable[..., Function], proxy: BlackHole, momento: Momento
) -> None:
    course = f"course-{uuid.uuid4()}"
    webhook = load("webhook", MOMENTO_LOCAL=proxy.address)
    assert webhook(delivery(course))["statusCode"] == 200
    proxy.swallow()
    status = webhook(delivery(course))["statusCode"]  # 202 unless the keepalive finds it before.
    assert webhook(delivery(course))["statusCode"] == 200
    assert len(momento.entries(course)) == {200: 3, 202: 2}[status]
    assert proxy.accepted >= 2


def test_a_connection_that_was_idle_for_minutes_is_replaced_before_the_call(
    load: Callable[..., Function], proxy: BlackHole, user: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    publisher = load("publisher", MOMENTO_LOCAL=proxy.address)
    assert publisher(comment(user))["published"] == 1
    proxy.swallow()
    now = time.time
    monkeypatch.setattr(time, "time", lambda: now() + 241)
    assert publisher(comment(user)) == {"published": 1, "failed": []}
    assert proxy.accepted >= 3


def test_the_token_vendor_mints_all_tokens_over_one_connection(
    load: Callable[..., Function], proxy: BlackHole, user: str
) -> None:
    vendor = load("token_vendor", MOMENTO_LOCAL=proxy.address)
    for course in range(3):
        assert vendor(token_request(user, {"courseIds": [course]}))["statusCode"] == 200
    assert proxy.accepted == 1


def test_the_publisher_mints_over_one_connection_and_publishes_over_another(
    load: Callable[..., Function], proxy: BlackHole, user: str
) -> None:
    publisher = load("publisher", MOMENTO_LOCAL=proxy.address)
    for number in range(3):
        assert publisher({"messages": [comment(f"{user}-{number}")] * 2})["published"] == 2
    assert proxy.accepted == 2


@pytest.mark.parametrize(("port", "first_byte"), [(443, b"\x16"), (None, b"P")])
def test_a_connection_is_encrypted_unless_momento_is_local(
    environment: dict[str, str], port: int | None, first_byte: bytes
) -> None:
    """TLS begins with a handshake record, and HTTP/2 without it with `PRI`."""
    module = importlib.import_module("momento_access.connection")
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(20)
        listens_on = server.getsockname()[1]
        endpoint = f"127.0.0.1:{listens_on}" if port else "127.0.0.1"
        channel = module.open_channel(endpoint, port or listens_on)
        call = channel.unary_unary("/method").future(b"request")
        connection, _ = server.accept()
        with connection:
            connection.settimeout(20)
            assert connection.recv(1) == first_byte
        call.cancel()
        channel.close()


def test_an_item_without_a_ttl_is_kept_for_a_day(
    environment: dict[str, str], momento: Momento, user: str
) -> None:
    client = importlib.import_module("momento_access.cache_client")
    credentials = importlib.import_module("momento_access.credentials").Credentials
    server = momento.server
    cache = client.RaisingCacheClient(credentials(server.api_key, server.host, server.host, server.port))
    cache.set(CACHE, user, "value")
    cache.close()
    assert 86_300 < momento.remaining_ttl_seconds(user) <= 86_400


@pytest.mark.parametrize("error", ["unavailable", "internal"])
def test_a_failed_call_is_not_retried(
    error: str, environment: dict[str, str], momento: Momento, user: str
) -> None:
    client = importlib.import_module("momento_access.cache_client")
    credentials = importlib.import_module("momento_access.credentials").Credentials
    server = momento.server
    cache = client.RaisingCacheClient(credentials(server.api_key, server.host, server.host, server.port))
    momento.admin("/fail", rpcs="get", error=error, count=1)
    with pytest.raises(client.MomentoError, match=error.upper()):
        cache.get(CACHE, user)
    cache.get(CACHE, user)
    cache.close()
