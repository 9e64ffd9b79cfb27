"""A proxy in front of the AWS services, through which functions reach them, and which makes trouble."""

import asyncio
import json
import random
import re
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass

import aiohttp
from aiohttp import web

from local.serving.ports import HOST, listen, port_of

_NOT_PASSED_ON = {"Connection", "Content-Length", "Host", "Transfer-Encoding"}


@dataclass(frozen=True)
class Call:
    """A call of an AWS service: `forward` passes it on to the service, and returns the answer."""

    request: web.Request
    service: str
    """As in the signature: `dynamodb`, `sqs`, `secretsmanager`."""
    operation: str
    body: bytes
    forward: Callable[[], Awaitable[web.Response]]


Trouble = Callable[[Call], Awaitable[web.Response]]
"""Answers a call in place of the service."""


def fails(status: int = 500, error: str = "InternalServerError") -> Trouble:
    """Answer with an error, and do nothing."""

    async def trouble(_call: Call) -> web.Response:
        answer = json.dumps({"__type": error, "message": "The proxy has been told to answer so."})
        return web.Response(status=status, text=answer, content_type="application/x-amz-json-1.0")

    return trouble


def is_slow(least: float, most: float) -> Trouble:
    """Delay calls by so many seconds, even if the caller gives up meanwhile."""

    async def trouble(call: Call) -> web.Response:
        await asyncio.sleep(random.uniform(least, most))  # noqa: S311 - not for cryptography
        return await call.forward()

    return trouble


async def hangs(_call: Call) -> web.Response:
    """Do nothing, and do not answer for longer than any caller waits."""
    await asyncio.sleep(60)
    return web.Response(status=500)


async def loses_answer(call: Call) -> web.Response:
    """Carry the call out, and close the connection in place of an answer."""
    await call.forward()
    return cut(call)


def cut(call: Call) -> web.Response:
    """Cut the connection of a call."""
    if call.request.transport:
        call.request.transport.abort()
    return web.Response(status=500)


class AwsProxy:
    """Pass calls on, except those of a service that is in trouble."""

    def __init__(self) -> None:
        self._troubles: list[tuple[str, float, Trouble, list[str]]] = []

    @asynccontextmanager
    async def serve(self, endpoint_url: str) -> AsyncIterator[str]:
        """Serve the services at `endpoint_url` at another one, which it yields."""
        async with aiohttp.ClientSession(
            auto_decompress=False, connector=aiohttp.TCPConnector(limit=0)
        ) as session:

            async def answer(request: web.Request) -> web.StreamResponse:
                return await self._answer(request, session, endpoint_url)

            application = web.Application(client_max_size=2**24)
            application.router.add_route("*", "/{path:.*}", answer)
            # What was sent is carried out, also where its sender has left meanwhile.
            runner = web.AppRunner(application, access_log=None, shutdown_timeout=0.5, auto_decompress=False)
            await runner.setup()
            sock = listen(0)
            await web.SockSite(runner, sock).start()
            try:
                yield f"http://{HOST}:{port_of(sock)}"
            finally:
                await runner.cleanup()

    @contextmanager
    def trouble(self, service: str, trouble: Trouble, share: float = 1.0) -> Iterator[list[str]]:
        """Let a share of a service's calls, chosen at random, fail during the block. Yield their names."""
        struck: list[str] = []
        entry = (service, share, trouble, struck)
        self._troubles.append(entry)
        try:
            yield struck
        finally:
            self._troubles.remove(entry)

    async def _answer(
        self, request: web.Request, session: aiohttp.ClientSession, endpoint_url: str
    ) -> web.StreamResponse:
        body = await request.read()
        headers = {name: value for name, value in request.headers.items() if name not in _NOT_PASSED_ON}

        async def forward() -> web.Response:
            async with session.request(
                request.method, f"{endpoint_url}{request.path_qs}", data=body, headers=headers
            ) as answer:
                passed_on = {
                    name: value for name, value in answer.headers.items() if name not in _NOT_PASSED_ON
                }
                return web.Response(status=answer.status, body=await answer.read(), headers=passed_on)

        scope = re.search(r"Credential=[^/]+/\d+/[^/]+/([^/]+)/", request.headers.get("Authorization", ""))
        operation = request.headers.get("X-Amz-Target", "").rpartition(".")[2]
        call = Call(request, scope[1] if scope else "", operation, body, forward)
        for service, share, trouble, struck in self._troubles:
            if service == call.service and random.random() < share:  # noqa: S311 - not for cryptography
                struck.append(call.operation)
                return await trouble(call)
        return await forward()
