"""While others do their worst, signed messages are stored and tokens vended, all of them and in time."""

from __future__ import annotations

import asyncio
import uuid
from collections import Counter
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import aiohttp

from tests.support.running_stack import UNTHROTTLED, Stack, running_stack

SECONDS_FOR_A_MESSAGE = 5
"""Momento waits no longer, and then the message is lost."""
SECONDS_FOR_A_TOKEN = 5

SLOW_CLIENTS = 300
FLOODS_AT_ONCE = 8
UNAUTHENTICATED_REQUESTS = 1500
"""To each of the two, at least."""
GOOD_REQUESTS = 50

FORGED = {"Content-Type": "application/json", "momento-signature": "0" * 64}


class Flood:
    """Send requests without a pause from several senders until it is stopped, and count the answers."""

    def __init__(
        self, http: aiohttp.ClientSession, url: str, body: bytes, headers: dict[str, str], at_once: int
    ) -> None:
        self.statuses: Counter[int] = Counter()
        self._http, self._url, self._body, self._headers = http, url, body, headers
        self._at_once = at_once

    def senders(self) -> list[Coroutine[Any, Any, None]]:
        return [self._send() for _ in range(self._at_once)]

    async def reached(self, status: int, count: int) -> None:
        """Wait until so many requests were answered with `status`."""
        async with asyncio.timeout(60):
            while self.statuses[status] < count:  # noqa: ASYNC110 (counted by others)
                await asyncio.sleep(0.05)

    async def _send(self) -> None:
        while True:
            async with self._http.post(self._url, data=self._body, headers=self._headers) as answer:
                self.statuses[answer.status] += 1


@asynccontextmanager
async def in_background(*senders: Coroutine[Any, Any, None]) -> AsyncIterator[None]:
    """Run all of them during the block. If one fails, end them all."""
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(sender) for sender in senders]
        yield
        for task in tasks:
            task.cancel()


async def dribble(url: str, already_sent: bytes, connected: asyncio.Semaphore) -> None:
    """Hold a connection by sending a byte now and then, until the server closes it."""
    address = urlsplit(url)
    _, writer = await asyncio.open_connection(address.hostname, address.port)
    connected.release()
    try:
        writer.write(already_sent)
        while True:
            writer.write(b"a")
            await writer.drain()
            await asyncio.sleep(0.5)
    except ConnectionError:
        pass
    finally:
        writer.transport.abort()


async def store_messages(stack: Stack, http: aiohttp.ClientSession) -> None:
    """Send messages one after another. Each must be stored, and answered in time."""
    course = f"course-{uuid.uuid4()}"
    comments = [f"comment {number}" for number in range(GOOD_REQUESTS)]
    for comment in comments:
        body = stack.webhook_body(course, comment)
        headers = {"Content-Type": "application/json", "momento-signature": stack.signature(body)}
        async with (
            asyncio.timeout(SECONDS_FOR_A_MESSAGE),
            http.post(stack.facts["webhook_url"], data=body, headers=headers) as answer,
        ):
            assert (answer.status, await answer.json()) == (200, {"status": "stored"})
    stored = await asyncio.to_thread(stack.entries, course)
    assert [entry["comment"] for entry in reversed(stored)] == comments


def jwts_of_new_users(stack: Stack) -> list[str]:
    """Return the JWT of a new user for each token, because a user who asks for many has to wait."""
    return [stack.jwt_of_new_user() for _ in range(GOOD_REQUESTS)]


async def vend_tokens(stack: Stack, http: aiohttp.ClientSession, jwts: list[str]) -> None:
    """Request tokens one after another, each for another user. Each must come in time."""
    for jwt in jwts:
        async with (
            asyncio.timeout(SECONDS_FOR_A_TOKEN),
            http.post(stack.facts["token_url"], headers={"Authorization": f"Bearer {jwt}"}) as answer,
        ):
            assert answer.status == 200, await answer.text()


async def test_good_requests_are_served_beside_slow_large_and_unauthenticated_ones(stack: Stack) -> None:
    webhook, token_api = stack.facts["webhook_url"], stack.facts["token_url"]
    jwts = await asyncio.to_thread(jwts_of_new_users, stack)
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as http:
        forged = Flood(http, webhook, b"{}", FORGED, FLOODS_AT_ONCE)
        without_jwt = Flood(http, token_api, b"", {}, FLOODS_AT_ONCE)
        large = Flood(http, webhook, b'{"text": "' + b"a" * 1_000_000 + b'"}', FORGED, 1)
        too_large = Flood(http, webhook, b"a" * (6 * 1024 * 1024 + 1), FORGED, 1)
        connected = asyncio.Semaphore(0)
        slow_clients = [
            dribble(url, already_sent, connected)
            for url in (webhook, token_api)
            for already_sent in (b"", b"POST /token HTTP/1.1\r\nHost: a\r\nContent-Length: 100000\r\n\r\n")
            for _ in range(SLOW_CLIENTS // 4)
        ]
        floods = [sender for flood in (forged, without_jwt, large, too_large) for sender in flood.senders()]
        async with in_background(*slow_clients, *floods):
            for _ in slow_clients:
                await connected.acquire()
            await asyncio.gather(store_messages(stack, http), vend_tokens(stack, http, jwts))
            await forged.reached(403, UNAUTHENTICATED_REQUESTS)
            await without_jwt.reached(401, UNAUTHENTICATED_REQUESTS)
            await large.reached(403, 10)
            await too_large.reached(413, 10)
    answered = [set(flood.statuses) for flood in (forged, without_jwt, large, too_large)]
    assert answered == [{403}, {401}, {403}, {413}]


async def test_a_flood_on_one_function_does_not_take_the_capacity_of_another(tmp_path: Path) -> None:
    reserved = ("--parameter", "TokenVendorConcurrency=2", "--parameter", "WebhookConcurrency=6")
    with running_stack(tmp_path, *UNTHROTTLED, *reserved) as stack:
        jwts = jwts_of_new_users(stack)
        async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as http:
            signed_in = {"Authorization": f"Bearer {stack.jwt()}"}
            flood = Flood(http, stack.facts["token_url"], b"", signed_in, at_once=6)
            async with in_background(*flood.senders()):
                await flood.reached(503, 100)
                await store_messages(stack, http)
            assert set(flood.statuses) == {200, 503}  # What is beyond the two is turned away at once.

            flood = Flood(http, stack.facts["webhook_url"], b"{}", FORGED, at_once=18)
            async with in_background(*flood.senders()):
                await flood.reached(429, 100)
                await vend_tokens(stack, http, jwts)
            assert set(flood.statuses) == {403, 429}
