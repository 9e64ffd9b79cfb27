"""Connections to Momento's services."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, Generic, TypeVar

import grpc

from momento_access.errors import MomentoError, Status

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from google.protobuf.message import Message

    from momento_access.credentials import Credentials

Client = TypeVar("Client")
Response = TypeVar("Response")

_TLS_PORT = 443
# After these, the connection may be bad: broken, or forgotten by a load balancer, which drops what is sent.
_MAY_BE_BAD = {Status.UNAVAILABLE, Status.DEADLINE_EXCEEDED}
_MAX_IDLE_SECONDS = 240
"""Load balancers forget connections that are idle for some minutes (AWS's NLB: 350 s)."""

KEEPALIVE_OPTIONS: tuple[tuple[str, int], ...] = (
    # The times that Momento's SDK uses. Pings reveal a connection that hangs while a call or stream is open.
    ("grpc.keepalive_time_ms", 5000),
    ("grpc.keepalive_timeout_ms", 1000),
    ("grpc.keepalive_permit_without_calls", 1),
    ("grpc.http2.max_pings_without_data", 0),
    # gRPC waits for an earlier ping's answer, for a minute by default, before it takes a connection for dead.
    ("grpc.http2.ping_timeout_ms", 3000),
    # Without this, a new channel shares the connection of the one that it replaces.
    ("grpc.use_local_subchannel_pool", 1),
)


class Connection(Generic[Client]):
    """A client of Momento that is replaced as soon as its connection may be bad.

    It is made when it is first used. It is replaced before a call if it was idle for four minutes, and after
    a call that found no connection or had no answer in time. So at most one call times out on a connection
    that hangs, as happens when Lambda thaws a function that a load balancer has forgotten.
    """

    def __init__(self, open_client: Callable[[], Client], close_client: Callable[[Client], None]) -> None:
        self._open_client = open_client
        self._close_client = close_client
        self._client: Client | None = None
        self._last_used = 0.0

    def call(self, operation: Callable[[Client], Response]) -> Response:
        """Return what `operation` returns. It gets the client and raises `MomentoError`."""
        # The wall clock: the monotonic one may not count the time that a function is frozen.
        if abs(time.time() - self._last_used) > _MAX_IDLE_SECONDS:
            self.close()
        if self._client is None:
            self._client = self._open_client()
        try:
            return operation(self._client)
        except MomentoError as error:
            if error.status in _MAY_BE_BAD:
                self.close()
            raise
        finally:
            self._last_used = time.time()

    def close(self) -> None:
        """Close the connection. The next call opens another."""
        if self._client is not None:
            self._close_client(self._client)
            self._client = None


class StubConnection:
    """A connection over which a service is called by the stub that is generated from Momento's protocol."""

    def __init__(self, make_stub: Callable[[grpc.Channel], Any], endpoint: str, port: int) -> None:
        def open_stub() -> tuple[grpc.Channel, Any]:
            channel = open_channel(endpoint, port)
            return channel, make_stub(channel)

        self._connection = Connection(open_stub, lambda client: client[0].close())

    def call(
        self, rpc: str, request: Message, timeout_seconds: float, metadata: Sequence[tuple[str, str]]
    ) -> Any:
        """Return the service's answer. Raise `MomentoError`."""

        def call(client: tuple[grpc.Channel, Any]) -> Any:
            try:
                return getattr(client[1], rpc)(request, timeout=timeout_seconds, metadata=metadata)
            except grpc.RpcError as error:
                raise MomentoError(Status(error.code().name)) from error

        return self._connection.call(call)


def open_channel(endpoint: str, port: int) -> grpc.Channel:
    """Return a channel, encrypted except to a local Momento, which has a port other than 443."""
    if port == _TLS_PORT:
        return grpc.secure_channel(endpoint, grpc.ssl_channel_credentials(), options=KEEPALIVE_OPTIONS)
    return grpc.insecure_channel(f"{endpoint}:{port}", options=KEEPALIVE_OPTIONS)


def call_metadata(credentials: Credentials, client: str) -> tuple[tuple[str, str], ...]:
    """Return the metadata that Momento expects with each call: the caller's token and the kind of client."""
    return (("authorization", credentials.auth_token), ("agent", f"python:{client}:realtime-identity"))
