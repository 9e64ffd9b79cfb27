"""Caches, signing keys, and what is no more."""

from datetime import timedelta
from typing import Any

import grpc
import pytest
from momento.errors import MomentoErrorCode
from momento.responses import (
    CacheFlush,
    CacheGet,
    CreateCache,
    CreateSigningKey,
    DeleteCache,
    ListCaches,
    RevokeSigningKey,
)
from momento_wire_types import controlclient_pb2 as pb

from tests.support.momento_connections import Rpcs


async def cache_names(client: Any) -> list[str]:
    listed = await client.list_caches()
    assert isinstance(listed, ListCaches.Success)
    return [cache.name for cache in listed.caches]


async def test_caches_are_created_listed_and_deleted(client: Any) -> None:
    assert isinstance(await client.create_cache("other"), CreateCache.Success)
    assert isinstance(await client.create_cache("other"), CreateCache.CacheAlreadyExists)
    assert await cache_names(client) == ["cache", "other"]
    assert isinstance(await client.delete_cache("other"), DeleteCache.Success)
    assert await cache_names(client) == ["cache"]
    again = await client.delete_cache("other")
    assert isinstance(again, DeleteCache.Error)
    assert again.error_code is MomentoErrorCode.NOT_FOUND_ERROR


async def test_a_cache_that_is_created_again_is_empty(client: Any) -> None:
    await client.set("cache", "key", "value")
    await client.delete_cache("cache")
    await client.create_cache("cache")
    assert isinstance(await client.get("cache", "key"), CacheGet.Miss)


async def test_caches_share_no_keys(client: Any) -> None:
    await client.create_cache("other")
    await client.set("cache", "key", "value")
    assert isinstance(await client.get("other", "key"), CacheGet.Miss)


async def test_flushing_removes_the_items_and_leaves_the_cache(client: Any) -> None:
    await client.set("cache", "key", "value")
    assert isinstance(await client.flush_cache("cache"), CacheFlush.Success)
    assert isinstance(await client.get("cache", "key"), CacheGet.Miss)
    refused = await client.flush_cache("no-such-cache")
    assert isinstance(refused, CacheFlush.Error)
    assert refused.error_code is MomentoErrorCode.NOT_FOUND_ERROR


async def test_caches_are_listed_with_their_limits(rpcs: Rpcs) -> None:
    listed = await rpcs.ListCaches(pb._ListCachesRequest())
    assert listed.cache[0].cache_limits.max_item_size_kb == 1024
    assert listed.cache[0].topic_limits.max_publish_message_size_kb == 4


async def test_signing_keys_are_created_listed_and_revoked(client: Any) -> None:
    created = await client.create_signing_key(timedelta(minutes=30))
    assert isinstance(created, CreateSigningKey.Success)
    listed = await client.list_signing_keys()
    assert [key.key_id for key in listed.signing_keys] == [created.key_id]
    assert listed.signing_keys[0].expires_at == created.expires_at
    assert isinstance(await client.revoke_signing_key(created.key_id), RevokeSigningKey.Success)
    assert (await client.list_signing_keys()).signing_keys == []


async def test_a_blank_cache_name_is_an_invalid_argument(rpcs: Rpcs) -> None:
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await rpcs.CreateCache(pb._CreateCacheRequest(cache_name="  "))
    assert refused.value.code() is grpc.StatusCode.INVALID_ARGUMENT


async def test_vector_indexes_are_unimplemented(rpcs: Rpcs) -> None:
    for call in (
        rpcs.CreateIndex(pb._CreateIndexRequest(index_name="i")),
        rpcs.DeleteIndex(pb._DeleteIndexRequest(index_name="i")),
        rpcs.ListIndexes(pb._ListIndexesRequest()),
    ):
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await call
        assert refused.value.code() is grpc.StatusCode.UNIMPLEMENTED
