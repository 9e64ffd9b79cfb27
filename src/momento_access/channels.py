"""Connections to Momento's services, which are called by the stubs that Momento generates from its protocol.

Its SDK is made on these stubs, too. It cannot do all that the functions need, and takes them a tenth of a
second to load.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import grpc

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from google.protobuf.message import Message

    from momento_access.credentials import Credentials

_TLS_PORT = 443
_CHANNEL_OPTIONS = [
    ("grpc.max_receive_message_length", -1),  # Lists are as long as they were made.
]


class MomentoError(Exception):
    """Momento did not answer as asked: it did not do what it was to do, or nobody knows whether it did."""

    def __init__(self, code: grpc.StatusCode, what: str = "Momento answered") -> None:
        super().__init__(f"{what} {code.name}")
        self.code = code


class Connection:
    """A connection to one service, made when it is first called, and anew after it broke."""

    def __init__(self, make_stub: Callable[[grpc.Channel], Any], endpoint: str, port: int) -> None:
        self._make_stub = make_stub
        self._endpoint = endpoint
        self._port = port
        self._channel: grpc.Channel | None = None
        self._stub: Any = None

    def call(
        self, rpc: str, request: Message, timeout_seconds: float, metadata: Sequence[tuple[str, str]]
    ) -> Any:
        """What the service answers, in time; raises `MomentoError`."""
        if self._channel is None:
            self._channel = open_channel(self._endpoint, self._port, _CHANNEL_OPTIONS)
            self._stub = self._make_stub(self._channel)
        try:
            return getattr(self._stub, rpc)(request, timeout=timeout_seconds, metadata=metadata)
        except grpc.RpcError as error:
            if error.code() is grpc.StatusCode.UNAVAILABLE:
                # By itself, it would wait for up to two minutes before it connects again.
                self.close()
            raise MomentoError(error.code()) from error

    def close(self) -> None:
        """Ends the connection; the next call makes another."""
        if self._channel is not None:
            self._channel.close()
            self._channel = None


def open_channel(endpoint: str, port: int, options: Sequence[tuple[str, str | int]]) -> grpc.Channel:
    """A channel with gRPC's `options`, encrypted except to a local Momento, which has a port of its own."""
    if port == _TLS_PORT:
        return grpc.secure_channel(endpoint, grpc.ssl_channel_credentials(), options=options)
    return grpc.insecure_channel(f"{endpoint}:{port}", options=options)


def call_metadata(credentials: Credentials, client: str) -> tuple[tuple[str, str], ...]:
    """What Momento wants to know with each call: who calls, and from what kind of client."""
    return (("authorization", credentials.auth_token), ("agent", f"python:{client}:realtime-identity"))
