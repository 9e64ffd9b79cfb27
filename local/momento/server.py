"""A local Momento: all services on local ports, in one asyncio event loop."""

import asyncio
import contextlib
import errno
import os
import socket
import stat
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

import grpc
from aiohttp import web
from momento_wire_types import (
    cacheclient_pb2_grpc,
    cachepubsub_pb2_grpc,
    controlclient_pb2_grpc,
    token_pb2_grpc,
)

from local.momento.admin import Admin
from local.momento.auth import Authority, make_api_key
from local.momento.cache_service import CacheService
from local.momento.calls import CallInterceptor
from local.momento.control_service import ControlService
from local.momento.faults import Faults
from local.momento.grpc_web import GrpcWebBridge
from local.momento.limits import RateLimits
from local.momento.pubsub_service import PubsubService
from local.momento.store import Caches
from local.momento.token_service import TokenService
from local.momento.topics import Message, Topics
from local.momento.topics_http import TopicsHttpApi
from local.momento.web_application import web_application
from local.momento.webhooks import Delivery, Webhooks, WebhookSubscription

_GRPC_OPTIONS = (
    # Refuse a second server on the same port.
    ("grpc.so_reuseport", 0),
    # The SDKs' maximum, so that an item that is too large gets the proper error.
    ("grpc.max_receive_message_length", 5_243_000),
    # The SDKs ping idle connections more often than gRPC servers allow by default.
    ("grpc.keepalive_permit_without_calls", 1),
    ("grpc.http2.min_recv_ping_interval_without_data_ms", 1000),
    ("grpc.http2.max_ping_strikes", 0),
    # By default, gRPC cancels random new calls while more than 1,000 wait for their handler. A burst of
    # subscriptions over many connections can exceed that.
    ("grpc.server.max_pending_requests", 100_000),
    ("grpc.server.max_pending_requests_hard_limit", 100_000),
)


class PortTakenError(OSError):
    """Another process uses the port. `setting` is its name in `MomentoServerConfig`."""

    def __init__(self, setting: str, port: int) -> None:
        super().__init__(f"port {port} is taken")
        self.setting = setting
        self.port = port


def _port_error(error: OSError, setting: str, port: int) -> OSError:
    return PortTakenError(setting, port) if error.errno == errno.EADDRINUSE else error


@contextlib.contextmanager
def _reserved_port(host: str, port: int, setting: str) -> Iterator[int]:
    """Reserve a port (0: a free one) for this process, and yield its number.

    A socket is bound to the port but does not listen. On Linux, this process can then start and stop
    listening on the port repeatedly; while it does not listen, clients are refused and no other process
    gets the port. Other systems allow only one socket per port, so the port is not reserved there.

    Raise PortTakenError, or another OSError if `host` is not an address of this machine.
    """
    with socket.socket() as reservation:
        try:
            reservation.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            reservation.bind((host, port))
        except OSError as error:
            raise _port_error(error, setting, port) from None
        number: int = reservation.getsockname()[1]
        if sys.platform != "linux":
            reservation.close()
        yield number


async def _stop_grpc(server: grpc.aio.Server, port: int) -> None:
    """Stop listening and break all connections, as a failing network does.

    gRPC's own stop answers running calls with CANCELLED. The SDKs treat that as a cancellation by the
    caller: they do not retry, and they end subscriptions. So clients must lose their connections first.
    """
    _break_connections(port)
    # During the grace period gRPC does not listen any more, but cancels no calls yet.
    stopping = asyncio.create_task(server.stop(grace=5))
    await asyncio.sleep(0)
    # Clients may have reconnected before gRPC stopped listening.
    _break_connections(port)
    await stopping


def _break_connections(port: int) -> None:
    """Shut down all connections to this process's port."""
    with contextlib.ExitStack() as stack:
        connections = [stack.enter_context(connection) for connection in _connections_to(port)]
        # Collect them first, so that no client reconnects before the last one is shut down.
        for connection in connections:
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)


def _connections_to(port: int) -> Iterator[socket.socket]:
    """Yield a duplicate of each connected socket of this process whose local port is `port`."""
    for descriptor in Path("/dev/fd").iterdir():
        try:
            number = int(descriptor.name)
            if not stat.S_ISSOCK(os.fstat(number).st_mode):
                continue
            candidate = socket.socket(fileno=os.dup(number))
        except OSError:
            continue  # It was closed in the meantime.
        if _is_connected_at(candidate, port):
            yield candidate
        else:
            candidate.close()


def _is_connected_at(candidate: socket.socket, port: int) -> bool:
    if candidate.family not in {socket.AF_INET, socket.AF_INET6}:
        return False
    try:
        candidate.getpeername()
    except OSError:
        return False
    local_port: int = candidate.getsockname()[1]
    return local_port == port


@dataclass(frozen=True)
class MomentoServerConfig:
    """The server's settings. A port of 0 means a free one; an `api_key` of None means a random one."""

    host: str = "127.0.0.1"
    port: int = 0
    web_port: int = 0
    admin_port: int = 0
    api_key: str | None = None
    auth_required: bool = True
    rate_limits: bool = False
    caches: Sequence[str] = ()
    webhooks: Sequence[WebhookSubscription] = ()


@dataclass(frozen=True)
class Timings:
    """Intervals and timeouts in seconds, with Momento's documented values where they exist."""

    webhook_timeout: float = 5.0
    # Not documented. The SDKs' tests expect three heartbeats from Momento Local within 3 seconds.
    heartbeat: float = 0.9
    topic_idle_reset: float = 600.0
    sweep: float = 1.0


class MomentoServer:
    """Momento's services over gRPC, gRPC-Web and HTTP, and a test admin: `async with MomentoServer(config)`.

    `port`, `web_url` and `admin_url` are known once the server has started.
    """

    def __init__(
        self,
        config: MomentoServerConfig,
        timings: Timings | None = None,
        on_delivery: Callable[[Delivery], None] | None = None,
        on_message: Callable[[str, Message], None] = lambda _topic, _message: None,
    ) -> None:
        """Create a server that is not started yet.

        `on_delivery` is called after every webhook delivery, and `on_message` after every publish, with the
        topic's name and the message. Both run in the server's event loop.
        """
        timings = timings or Timings()
        self.host = config.host
        self.port = config.port
        self.web_url = ""
        self.admin_url = ""
        self.api_key = config.api_key or make_api_key()
        self._config = config
        self._timings = timings
        self._caches = Caches()
        self._topics = Topics(timings.topic_idle_reset)
        self._faults = Faults()
        rate_limits = RateLimits(enforced=config.rate_limits)
        self._webhooks = Webhooks(rate_limits, timings.webhook_timeout, on_delivery)
        authority = Authority(self.api_key, required=config.auth_required)
        self._interceptor = CallInterceptor(authority, self._faults, rate_limits)
        self._cache_service = CacheService(self._caches)
        self._pubsub_service = PubsubService(
            self._caches,
            self._topics,
            self._webhooks,
            rate_limits,
            heartbeat_seconds=timings.heartbeat,
            on_message=on_message,
        )
        self._control_service = ControlService(self._caches, self._topics)
        self._token_service = TokenService(authority, lambda: f"{self.host}:{self.port}")
        self._web_port = config.web_port
        # Closes the gRPC and web ports, in reverse order; None while they are closed.
        self._open_ports: contextlib.AsyncExitStack | None = None
        # Opening and closing the ports must not overlap.
        self._port_lock = asyncio.Lock()
        self._stack = contextlib.AsyncExitStack()
        for cache in config.caches:
            self._caches.ensure(cache)
        for webhook in config.webhooks:
            self.add_webhook(webhook)

    def add_webhook(self, webhook: WebhookSubscription) -> None:
        """Attach a webhook to its topic. Create its cache if it does not exist."""
        self._caches.ensure(webhook.cache)
        self._webhooks.add(webhook)

    async def start(self) -> None:
        """Listen on all ports.

        Raise PortTakenError, or another OSError if the host is not an address of this machine. All ports
        are closed then.
        """
        async with contextlib.AsyncExitStack() as stack:
            stack.push_async_callback(self._webhooks.stop)
            await self._webhooks.start()
            self.port = stack.enter_context(_reserved_port(self.host, self.port, "port"))
            self._web_port = stack.enter_context(_reserved_port(self.host, self._web_port, "web_port"))
            self.web_url = f"http://{self.host}:{self._web_port}"
            stack.push_async_callback(self.block)
            await self.unblock()
            admin = Admin(self, self._topics, self._webhooks, self._faults)
            admin_port = await self._serve_http(
                "admin_port", self._config.admin_port, admin.application(), stack
            )
            self.admin_url = f"http://{self.host}:{admin_port}"
            sweeper = asyncio.create_task(self._sweep())
            stack.callback(sweeper.cancel)
            self._stack = stack.pop_all()

    async def stop(self) -> None:
        """Close all ports and connections. All data is lost."""
        await self._stack.aclose()

    async def block(self) -> None:
        """Stop listening on the gRPC and web ports, and drop their connections.

        The ports stay reserved. Caches, topics and tokens do not change.
        """
        async with self._port_lock:
            if self._open_ports is not None:
                await self._open_ports.aclose()
                self._open_ports = None

    async def unblock(self) -> None:
        """Listen on the gRPC and web ports again.

        Raise PortTakenError if another process listens on one of them. Both stay closed then.
        """
        async with self._port_lock, contextlib.AsyncExitStack() as stack:
            if self._open_ports is not None:
                return
            grpc_server = await self._listen()
            stack.push_async_callback(_stop_grpc, grpc_server, self.port)
            # Closed before the gRPC port, so that browsers lose their connection and get no answer.
            application = await self._web_application(stack)
            await self._serve_http("web_port", self._web_port, application, stack)
            self._open_ports = stack.pop_all()

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.stop()

    async def _listen(self) -> grpc.aio.Server:
        server = grpc.aio.server(interceptors=[self._interceptor], options=_GRPC_OPTIONS)
        cacheclient_pb2_grpc.add_ScsServicer_to_server(self._cache_service, server)
        cachepubsub_pb2_grpc.add_PubsubServicer_to_server(self._pubsub_service, server)
        controlclient_pb2_grpc.add_ScsControlServicer_to_server(self._control_service, server)
        token_pb2_grpc.add_TokenServicer_to_server(self._token_service, server)
        try:
            server.add_insecure_port(f"{self.host}:{self.port}")
        except RuntimeError:
            raise PortTakenError("port", self.port) from None
        await server.start()
        return server

    async def _web_application(self, stack: contextlib.AsyncExitStack) -> web.Application:
        """Return the application for clients without gRPC. It calls the gRPC port until `stack` closes."""
        channel = grpc.aio.insecure_channel(
            f"{self.host}:{self.port}",
            # By default, channels share connections and the backoff after a failed one. Another channel may
            # have failed a moment ago, while the port was closed.
            options=[("grpc.use_local_subchannel_pool", 1)],
        )
        await stack.enter_async_context(channel)
        return web_application([*GrpcWebBridge(channel).routes(), *TopicsHttpApi(channel).routes()])

    async def _serve_http(
        self, setting: str, port: int, application: web.Application, stack: contextlib.AsyncExitStack
    ) -> int:
        """Serve until `stack` closes, and return the port."""
        # When a client disconnects, cancelling its handler ends its gRPC stream.
        runner = web.AppRunner(application, handler_cancellation=True, access_log=None, shutdown_timeout=0.1)
        await runner.setup()
        stack.push_async_callback(runner.cleanup)
        try:
            await web.TCPSite(runner, self.host, port).start()
        except OSError as error:
            raise _port_error(error, setting, port) from None
        bound_port: int = runner.addresses[0][1]
        return bound_port

    async def _sweep(self) -> None:
        while True:
            await asyncio.sleep(self._timings.sweep)
            self._caches.sweep()
            self._topics.sweep()
