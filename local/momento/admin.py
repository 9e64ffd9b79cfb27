"""The test admin: an HTTP API for tests that block Momento's ports, inject faults or reset topics.

Each path accepts GET and POST, with arguments in the query, and answers with JSON.

| path | what it does |
| --- | --- |
| `/health` | answers `{"status": "ok"}` |
| `/block` | drops all gRPC, gRPC-Web and HTTP connections and refuses new ones, as Momento Local does |
| `/unblock` | listens on the same ports again, with the same caches, topics and tokens |
| `/reset-topic?cache=&topic=` | restarts the topic's sequence numbers on a new page: `{"sequence_page"}` |
| `/signing-secret?cache=&topic=` | returns the secret of the topic's webhook: `{"signing_secret"}` |
| `/rotate-signing-secret?cache=&topic=` | gives that webhook a new secret: `{"signing_secret"}` |
| `/fail?rpcs=&error=&count=` | fails the next `count` calls of `rpcs` (without `count`: all of them) |
| `/delay?rpcs=&ms=&count=` | delays the next `count` calls of `rpcs` by `ms` milliseconds |
| `...&when=after` | for both: carries the calls out, and fails or delays only their answers |
| `/clear-faults` | ends all faults |

`rpcs` is a list separated by spaces. The names of RPCs and errors are those of `local.momento.faults`:
`topic-publish`, `list-push-front`, `generate-disposable-token`, ... and `unavailable`,
`resource-exhausted`, ...
"""

from typing import Protocol

import grpc
from aiohttp import web

from local.momento.faults import ERRORS, Fault, Faults
from local.momento.numbers import parse_number
from local.momento.rpcs import RPCS
from local.momento.topics import Topics
from local.momento.webhooks import Webhooks

_FAULT_NAMES = {rpc.fault_name for rpc in RPCS.values()}
_SUBSCRIBE = "topic-subscribe"


class _Ports(Protocol):
    """The ports for Momento's clients."""

    async def block(self) -> None: ...
    async def unblock(self) -> None: ...


class Admin:
    """The HTTP API that the module's docstring describes."""

    def __init__(self, ports: _Ports, topics: Topics, webhooks: Webhooks, faults: Faults) -> None:
        self._ports = ports
        self._topics = topics
        self._webhooks = webhooks
        self._faults = faults

    def application(self) -> web.Application:
        application = web.Application()
        handlers = {
            "/health": self._health,
            "/block": self._block,
            "/unblock": self._unblock,
            "/reset-topic": self._reset_topic,
            "/signing-secret": self._signing_secret,
            "/rotate-signing-secret": self._rotate_signing_secret,
            "/fail": self._fail,
            "/delay": self._delay,
            "/clear-faults": self._clear_faults,
        }
        for path, handler in handlers.items():
            application.router.add_get(path, handler)
            application.router.add_post(path, handler)
        return application

    async def _health(self, _: web.Request) -> web.Response:
        return web.json_response({"status": "ok"})

    async def _block(self, _: web.Request) -> web.Response:
        await self._ports.block()
        return web.json_response({"status": "blocked"})

    async def _unblock(self, _: web.Request) -> web.Response:
        try:
            await self._ports.unblock()
        except OSError as error:
            raise web.HTTPConflict(text=str(error)) from error
        return web.json_response({"status": "ok"})

    async def _reset_topic(self, request: web.Request) -> web.Response:
        topic = self._topics.get(_argument(request, "cache"), _argument(request, "topic"))
        topic.reset()
        return web.json_response({"sequence_page": topic.sequence_page})

    async def _signing_secret(self, request: web.Request) -> web.Response:
        webhook = self._webhooks.get(_argument(request, "cache"), _argument(request, "topic"))
        return _secret(None if webhook is None else webhook.signing_secret)

    async def _rotate_signing_secret(self, request: web.Request) -> web.Response:
        cache, topic = _argument(request, "cache"), _argument(request, "topic")
        return _secret(self._webhooks.rotate_signing_secret(cache, topic))

    async def _fail(self, request: web.Request) -> web.Response:
        error = ERRORS.get(_argument(request, "error"))
        if error is None:
            raise web.HTTPBadRequest(text=f"error must be one of: {' '.join(sorted(ERRORS))}")
        self._add_fault(request, error=error)
        return web.json_response({"status": "ok"})

    async def _delay(self, request: web.Request) -> web.Response:
        milliseconds = parse_number(_argument(request, "ms"))
        if milliseconds is None:
            raise web.HTTPBadRequest(text="ms must be a number of milliseconds")
        self._add_fault(request, delay_seconds=milliseconds / 1000)
        return web.json_response({"status": "ok"})

    def _add_fault(
        self, request: web.Request, *, error: grpc.StatusCode | None = None, delay_seconds: float = 0.0
    ) -> None:
        rpcs, after_work = _rpcs(request), _is_after_work(request)
        if after_work and _SUBSCRIBE in rpcs:
            raise web.HTTPBadRequest(text=f"{_SUBSCRIBE} never ends, so when=after would have no effect")
        self._faults.add(Fault(rpcs, error, delay_seconds, _count(request), after_work))

    async def _clear_faults(self, _: web.Request) -> web.Response:
        self._faults.clear()
        return web.json_response({"status": "ok"})


def _argument(request: web.Request, name: str) -> str:
    value = request.query.get(name, "")
    if not value:
        raise web.HTTPBadRequest(text=f"{name} is missing from the query")
    return value


def _rpcs(request: web.Request) -> frozenset[str]:
    rpcs = frozenset(_argument(request, "rpcs").split())
    if not rpcs:
        raise web.HTTPBadRequest(text="rpcs is missing from the query")
    unknown = rpcs - _FAULT_NAMES
    if unknown:
        raise web.HTTPBadRequest(
            text=f"unknown RPC: {' '.join(sorted(unknown))}; choose from {' '.join(sorted(_FAULT_NAMES))}"
        )
    return rpcs


def _count(request: web.Request) -> int | None:
    text = request.query.get("count")
    if text is None:
        return None
    count = parse_number(text)
    if count is None:
        raise web.HTTPBadRequest(text="count must be a number")
    return count


def _is_after_work(request: web.Request) -> bool:
    when = request.query.get("when", "before")
    if when not in {"before", "after"}:
        raise web.HTTPBadRequest(text="when must be before or after")
    return when == "after"


def _secret(signing_secret: str | None) -> web.Response:
    if signing_secret is None:
        raise web.HTTPNotFound(text="the topic has no webhook")
    return web.json_response({"signing_secret": signing_secret})
