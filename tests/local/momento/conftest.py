"""A Momento of its own for each test, and the ways to talk to it: both SDKs, bare gRPC stubs, HTTP."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from typing import Any

import aiohttp
import pytest

from local.momento.server import MomentoServer, MomentoServerConfig, Timings
from local.momento.webhooks import Delivery
from tests.support.momento_connections import CACHE, Connect, Connections, Eventually, Rpcs, StartMomento


async def _eventually(holds: Callable[[], bool], seconds: float = 5.0) -> None:
    async with asyncio.timeout(seconds):
        while not holds():  # noqa: ASYNC110
            await asyncio.sleep(0.01)


@pytest.fixture
def eventually() -> Eventually:
    """Wait for something that has no event: `await eventually(lambda: ...)`."""
    return _eventually


@pytest.fixture
async def resources() -> AsyncIterator[AsyncExitStack]:
    async with AsyncExitStack() as resources:
        yield resources


@pytest.fixture
def start_momento(resources: AsyncExitStack) -> StartMomento:
    """Start a server: `await start_momento(rate_limits=True, timings=Timings(heartbeat=0.05))`."""

    async def start(
        timings: Timings | None = None,
        on_delivery: Callable[[Delivery], None] | None = None,
        **config: Any,
    ) -> MomentoServer:
        config.setdefault("caches", [CACHE])
        server = MomentoServer(MomentoServerConfig(**config), timings, on_delivery)
        return await resources.enter_async_context(server)

    return start


@pytest.fixture
async def momento(start_momento: StartMomento) -> MomentoServer:
    """Return a server with one cache, `cache`."""
    return await start_momento()


@pytest.fixture
def connect(resources: AsyncExitStack) -> Connect:
    """Open clients of a server that a test has started."""
    return lambda momento: Connections(momento, resources)


@pytest.fixture
def connections(momento: MomentoServer, connect: Connect) -> Connections:
    return connect(momento)


@pytest.fixture(params=["async", "sync"])
async def client(request: pytest.FixtureRequest, connections: Connections) -> Any:
    """Return the cache client of one SDK, then of the other."""
    return await connections.cache(sync=request.param == "sync")


@pytest.fixture(params=["async", "sync"])
async def topic_client(request: pytest.FixtureRequest, connections: Connections) -> Any:
    """Return the topic client of one SDK, then of the other."""
    return await connections.topics(sync=request.param == "sync")


@pytest.fixture
async def rpcs(connections: Connections) -> Rpcs:
    """Return stubs with the super-user's key, for what the Python SDK does not call or show."""
    return await connections.rpcs()


@pytest.fixture
async def http(resources: AsyncExitStack) -> aiohttp.ClientSession:
    return await resources.enter_async_context(aiohttp.ClientSession())
