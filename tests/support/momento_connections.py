"""Ways to talk to a Momento: both SDKs, and the generated stubs."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from datetime import timedelta
from functools import partial
from typing import Any

import grpc
from momento import (
    AuthClientAsync,
    CacheClient,
    CacheClientAsync,
    Configurations,
    TopicClient,
    TopicClientAsync,
    TopicConfigurations,
)
from momento.auth import CredentialProvider
from momento.auth.access_control.disposable_token_scope import DisposableTokenProps, DisposableTokenScope
from momento.config.auth_configurations import AuthConfigurations
from momento.responses import GenerateDisposableToken
from momento.utilities import ExpiresIn
from momento_wire_types import (
    cacheclient_pb2_grpc,
    cachepubsub_pb2_grpc,
    controlclient_pb2_grpc,
    token_pb2_grpc,
)

from local.momento.server import MomentoServer

CACHE = "cache"


class AwaitedClient:
    """A synchronous SDK client whose calls are awaited, so that one test covers both SDKs."""

    def __init__(self, client: Any) -> None:
        self._client = client

    def __getattr__(self, name: str) -> Callable[..., Awaitable[Any]]:
        return partial(asyncio.to_thread, getattr(self._client, name))


class Rpcs:
    """The generated stubs of all services; every call sends the same metadata."""

    def __init__(self, channel: grpc.aio.Channel, **metadata: str) -> None:
        self._channel = channel
        self._metadata = metadata
        self._stubs = [
            cacheclient_pb2_grpc.ScsStub(channel),
            cachepubsub_pb2_grpc.PubsubStub(channel),
            controlclient_pb2_grpc.ScsControlStub(channel),
            token_pb2_grpc.TokenStub(channel),
        ]

    def sending(self, **metadata: str) -> Rpcs:
        """Return the same with other metadata: `request_id` for `request-id`. Omit empty values."""
        added = {name.replace("_", "-"): value for name, value in metadata.items()}
        merged = {name: value for name, value in {**self._metadata, **added}.items() if value}
        return Rpcs(self._channel, **merged)

    def __getattr__(self, method: str) -> Callable[..., Any]:
        call = next(getattr(stub, method) for stub in self._stubs if hasattr(stub, method))
        return partial(call, metadata=tuple(self._metadata.items()))


class Connections:
    """Opens clients of one server, each for whatever credentials, and closes them after the test."""

    def __init__(self, momento: MomentoServer, stack: AsyncExitStack) -> None:
        self._momento = momento
        self._stack = stack

    def credentials(self, key: str | None = None) -> CredentialProvider:
        host = self._momento.host
        key = self._momento.api_key if key is None else key
        return CredentialProvider(key, host, host, host, self._momento.port)

    async def cache(self, key: str | None = None, *, sync: bool = False) -> Any:
        ttl = timedelta(minutes=1)
        configuration = Configurations.Laptop.latest()
        if sync:
            return AwaitedClient(
                self._stack.enter_context(CacheClient(configuration, self.credentials(key), ttl))
            )
        return await self._stack.enter_async_context(
            CacheClientAsync(configuration, self.credentials(key), ttl)
        )

    async def topics(self, key: str | None = None, *, sync: bool = False) -> Any:
        configuration = TopicConfigurations.Default.latest()
        if sync:
            return AwaitedClient(self._stack.enter_context(TopicClient(configuration, self.credentials(key))))
        return await self._stack.enter_async_context(TopicClientAsync(configuration, self.credentials(key)))

    async def auth(self, key: str | None = None) -> AuthClientAsync:
        return await self._stack.enter_async_context(
            AuthClientAsync(AuthConfigurations.Laptop.latest(), self.credentials(key))
        )

    async def rpcs(self, key: str | None = None, cache: str = CACHE, *, own_connection: bool = False) -> Rpcs:
        """Return bare stubs; they share one connection with the others unless they get their own."""
        key = self._momento.api_key if key is None else key
        channel = await self._stack.enter_async_context(
            grpc.aio.insecure_channel(
                f"{self._momento.host}:{self._momento.port}",
                options=[("grpc.use_local_subchannel_pool", int(own_connection))],
            )
        )
        return Rpcs(channel, authorization=key, cache=cache)

    async def token(
        self, scope: DisposableTokenScope, expires_in: ExpiresIn | None = None, token_id: str | None = None
    ) -> str:
        """Mint a disposable token, and return its inner key."""
        client = await self.auth()
        minted = await client.generate_disposable_token(
            scope, expires_in or ExpiresIn.minutes(5), DisposableTokenProps(token_id=token_id)
        )
        assert isinstance(minted, GenerateDisposableToken.Success), minted
        return CredentialProvider.from_disposable_token(minted.auth_token).auth_token


# What the fixtures of these names give.
StartMomento = Callable[..., Awaitable[MomentoServer]]
Connect = Callable[[MomentoServer], Connections]
Eventually = Callable[..., Awaitable[None]]
