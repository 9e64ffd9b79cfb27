"""Keys and disposable tokens: who is let in, and for how long."""

import asyncio
import base64
import json
import time
from typing import Any

import grpc
import jwt
import pytest
from momento.auth import CredentialProvider
from momento.auth.access_control.disposable_token_scopes import DisposableTokenScopes
from momento.auth.access_control.permission_scope import AllCaches, AllTopics
from momento.errors import MomentoErrorCode
from momento.responses import (
    CacheGet,
    CreateCache,
    GenerateDisposableToken,
    ListCaches,
    TopicPublish,
    TopicSubscribe,
)
from momento.utilities import ExpiresIn
from momento_wire_types import cacheclient_pb2, cachepubsub_pb2, permissionmessages_pb2
from momento_wire_types import token_pb2 as pb

from local.momento.server import MomentoServer
from tests.support.momento_connections import Connect, Connections, Rpcs, StartMomento

READ_CACHE = DisposableTokenScopes.cache_read_only("cache")
ALL_TOPICS = DisposableTokenScopes.topic_publish_subscribe(AllCaches(), AllTopics())
GET = cacheclient_pb2._GetRequest(cache_key=b"key")
# JSON nested deeper than Python's parser goes.
NESTED = base64.b64encode(b"[" * 4500).decode()


def forged_token() -> str:
    permissions = permissionmessages_pb2.ExplicitPermissions().SerializeToString()
    claims = {"exp": 2**33, "token_id": "me", "permissions": base64.b64encode(permissions).decode()}
    return jwt.encode(claims, "k" * 32, algorithm="HS256")


def unsigned_token() -> str:
    return jwt.encode({"exp": 2**33, "token_id": "me", "permissions": ""}, "", algorithm="none")


async def test_a_generated_key_is_a_v2_key(momento: MomentoServer) -> None:
    assert CredentialProvider.from_api_key_v2(momento.api_key, "localhost").auth_token == momento.api_key


async def test_the_given_key_permits_everything(start_momento: StartMomento, connect: Connect) -> None:
    momento = await start_momento(api_key="a-key")
    assert momento.api_key == "a-key"
    assert isinstance(await (await connect(momento).cache()).create_cache("other"), CreateCache.Success)
    # The SDKs unwrap a v1 key themselves; somebody who does not is let in as well.
    v1_key = base64.b64encode(json.dumps({"endpoint": "e", "api_key": "a-key"}).encode()).decode()
    assert (await (await connect(momento).rpcs(v1_key)).Get(GET)).result == cacheclient_pb2.Miss


async def test_a_given_v1_key_permits_everything_wrapped_or_not(
    start_momento: StartMomento, connect: Connect
) -> None:
    key = base64.b64encode(json.dumps({"endpoint": "localhost", "api_key": "inner-key"}).encode()).decode()
    momento = await start_momento(api_key=key)
    for shown in (key, "inner-key"):
        connections = connect(momento)
        assert (await (await connections.rpcs(shown)).Get(GET)).result == cacheclient_pb2.Miss
        minted = await (await connections.auth(shown)).generate_disposable_token(
            READ_CACHE, ExpiresIn.minutes(1)
        )
        assert isinstance(minted, GenerateDisposableToken.Success)
    refused = await (await connect(momento).cache("e30=")).get("cache", "key")
    assert refused.error_code is MomentoErrorCode.AUTHENTICATION_ERROR


@pytest.mark.parametrize("key", ["wrong", forged_token(), unsigned_token(), "e30=", NESTED])
async def test_a_wrong_key_is_refused_by_every_service(rpcs: Rpcs, key: str) -> None:
    stranger = rpcs.sending(authorization=key)
    publish = cachepubsub_pb2._PublishRequest(cache_name="cache", topic="t", value={"text": "x"})
    for call in (
        stranger.Get(GET),
        stranger.Publish(publish),
        stranger.Subscribe(cachepubsub_pb2._SubscriptionRequest(cache_name="cache", topic="t")).read(),
        stranger.GenerateDisposableToken(pb._GenerateDisposableTokenRequest()),
    ):
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await call
        assert refused.value.code() is grpc.StatusCode.UNAUTHENTICATED


async def test_a_call_without_a_key_is_refused(rpcs: Rpcs, connections: Connections) -> None:
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await rpcs.sending(authorization="").Get(GET)
    assert refused.value.code() is grpc.StatusCode.UNAUTHENTICATED
    listed = await (await connections.cache("")).list_caches()
    assert isinstance(listed, ListCaches.Error)
    assert listed.error_code is MomentoErrorCode.AUTHENTICATION_ERROR


async def test_without_authentication_an_empty_key_permits_everything_and_a_wrong_one_nothing(
    start_momento: StartMomento, connect: Connect
) -> None:
    momento = await start_momento(auth_required=False)
    connections = connect(momento)
    assert isinstance(await (await connections.cache("")).create_cache("other"), CreateCache.Success)
    auth = await connections.auth("")
    minted = await auth.generate_disposable_token(READ_CACHE, ExpiresIn.minutes(1))
    assert isinstance(minted, GenerateDisposableToken.Success)
    refused = await (await connections.cache("wrong")).get("cache", "key")
    assert refused.error_code is MomentoErrorCode.AUTHENTICATION_ERROR


async def test_a_minted_token_contains_its_endpoint_and_expiry(
    momento: MomentoServer, connections: Connections
) -> None:
    before = int(time.time())
    minted = await (await connections.auth()).generate_disposable_token(READ_CACHE, ExpiresIn.minutes(30))
    assert isinstance(minted, GenerateDisposableToken.Success)
    assert minted.endpoint == f"{momento.host}:{momento.port}"
    assert before + 1800 <= minted.expires_at.epoch() <= time.time() + 1800
    key = CredentialProvider.from_disposable_token(minted.auth_token).auth_token
    assert isinstance(await (await connections.cache(key)).get("cache", "key"), CacheGet.Miss)
    # The whole of it, as the API hands it out, is good as well.
    assert (await (await connections.rpcs(minted.auth_token)).Get(GET)).result == cacheclient_pb2.Miss


async def test_the_publishers_token_id_reaches_the_subscribers(connections: Connections, rpcs: Rpcs) -> None:
    stream = rpcs.Subscribe(cachepubsub_pb2._SubscriptionRequest(cache_name="cache", topic="topic"))
    await stream.read()
    token = await connections.token(ALL_TOPICS, token_id="taylor")
    for topics in (await connections.topics(token), await connections.topics()):
        assert isinstance(await topics.publish("cache", "topic", "text"), TopicPublish.Success)
    assert [(await stream.read()).item.publisher_id for _ in range(2)] == ["taylor", ""]


@pytest.mark.parametrize("sync", [False, True])
async def test_an_expired_token_is_refused(connections: Connections, sync: bool) -> None:
    token = await connections.token(READ_CACHE, ExpiresIn.seconds(1))
    client = await connections.cache(token, sync=sync)
    await asyncio.sleep(1.1)
    response = await client.get("cache", "key")
    assert isinstance(response, CacheGet.Error)
    assert response.error_code is MomentoErrorCode.AUTHENTICATION_ERROR


@pytest.mark.parametrize("is_busy", [False, True])
async def test_a_subscription_ends_with_its_token(
    connections: Connections, rpcs: Rpcs, is_busy: bool
) -> None:
    stranger = await connections.rpcs(await connections.token(ALL_TOPICS, ExpiresIn.seconds(2)))
    stream = stranger.Subscribe(cachepubsub_pb2._SubscriptionRequest(cache_name="cache", topic="topic"))
    publish = cachepubsub_pb2._PublishRequest(cache_name="cache", topic="topic", value={"text": "x"})

    async def read_until_it_ends() -> None:
        async for _ in stream:
            if is_busy:
                await rpcs.Publish(publish)

    with pytest.raises(grpc.aio.AioRpcError) as ended:
        await asyncio.wait_for(read_until_it_ends(), 4)
    assert ended.value.code() is grpc.StatusCode.UNAUTHENTICATED


async def test_a_token_cannot_be_used_as_a_key(connections: Connections) -> None:
    token = await connections.token(DisposableTokenScopes.cache_read_write(AllCaches()))
    client = await connections.cache(token)
    responses: tuple[Any, ...] = (
        await client.create_cache("other"),
        await client.delete_cache("cache"),
        await client.list_caches(),
        await client.flush_cache("cache"),
        await (await connections.auth(token)).generate_disposable_token(READ_CACHE, ExpiresIn.minutes(1)),
    )
    for response in responses:
        assert response.error_code is MomentoErrorCode.PERMISSION_ERROR


async def test_a_token_cannot_mint_by_naming_the_key_within_the_request(
    momento: MomentoServer, connections: Connections
) -> None:
    holder = await connections.rpcs(await connections.token(READ_CACHE))
    permissions: dict[str, Any] = {"explicit": {"permissions": [{"cache_permissions": {"all_caches": {}}}]}}
    request = pb._GenerateDisposableTokenRequest(
        auth_token=momento.api_key, expires={"valid_for_seconds": 60}, permissions=permissions
    )
    assert await holder.GenerateDisposableToken(request).code() is grpc.StatusCode.PERMISSION_DENIED


async def test_a_key_within_the_request_is_enough(momento: MomentoServer, rpcs: Rpcs) -> None:
    permissions: dict[str, Any] = {"explicit": {"permissions": [{"cache_permissions": {"all_caches": {}}}]}}
    # As the JavaScript SDKs have it.
    without_credentials = rpcs.sending(authorization="")
    request = pb._GenerateDisposableTokenRequest(
        auth_token=momento.api_key, expires={"valid_for_seconds": 60}, permissions=permissions
    )
    assert (await without_credentials.GenerateDisposableToken(request)).api_key
    request.auth_token = "wrong"
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await without_credentials.GenerateDisposableToken(request)
    assert refused.value.code() is grpc.StatusCode.UNAUTHENTICATED


async def test_a_token_or_wrong_key_within_the_request_is_refused(
    rpcs: Rpcs, connections: Connections
) -> None:
    token = await connections.token(READ_CACHE)
    permissions: dict[str, Any] = {"explicit": {"permissions": [{"cache_permissions": {"all_caches": {}}}]}}
    for key, status in ((token, "PERMISSION_DENIED"), ("wrong", "UNAUTHENTICATED")):
        request = pb._GenerateDisposableTokenRequest(
            auth_token=key, expires={"valid_for_seconds": 60}, permissions=permissions
        )
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await rpcs.GenerateDisposableToken(request)
        assert refused.value.code().name == status


@pytest.mark.parametrize(
    ("asked_for", "allowed"),
    [
        ({"seconds": 25 * 3600}, True),
        ({"seconds": 25 * 3600 + 1}, False),
        ({"seconds": 0}, False),
        ({"token_id": "x" * 64}, True),
        ({"token_id": "x" * 65}, False),
        ({"token_id": "é" * 64}, True),
        ({"permissions": 20}, True),
        ({"permissions": 21}, False),
        ({"permissions": 0}, False),
    ],
)
async def test_tokens_have_momentos_limits(
    momento: MomentoServer, rpcs: Rpcs, asked_for: dict[str, Any], allowed: bool
) -> None:
    statement = {"cache_permissions": {"role": "CacheReadOnly", "all_caches": {}}}
    minting = rpcs.GenerateDisposableToken(
        pb._GenerateDisposableTokenRequest(
            auth_token=momento.api_key,
            expires={"valid_for_seconds": asked_for.get("seconds", 60)},
            token_id=asked_for.get("token_id", ""),
            permissions={"explicit": {"permissions": [statement] * asked_for.get("permissions", 1)}},
        )
    )
    if allowed:
        assert (await minting).valid_until > time.time()
        return
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await minting
    assert refused.value.code() is grpc.StatusCode.INVALID_ARGUMENT


async def test_a_super_users_token_cannot_be_minted(momento: MomentoServer, rpcs: Rpcs) -> None:
    request = pb._GenerateDisposableTokenRequest(
        auth_token=momento.api_key, expires={"valid_for_seconds": 60}, permissions={"super_user": "SuperUser"}
    )
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await rpcs.GenerateDisposableToken(request)
    assert refused.value.code() is grpc.StatusCode.INVALID_ARGUMENT


async def test_tokens_of_another_server_are_refused(
    connections: Connections, start_momento: StartMomento, connect: Connect
) -> None:
    token = await connections.token(ALL_TOPICS)
    other = await start_momento()
    response = await (await connect(other).topics(token)).subscribe("cache", "topic")
    assert isinstance(response, TopicSubscribe.Error)
    assert response.error_code is MomentoErrorCode.AUTHENTICATION_ERROR
