"""What each scope of a disposable token permits, and that it permits nothing else."""

from typing import Any

import grpc
import pytest
from momento.auth.access_control.disposable_token_scope import (
    AllCacheItems,
    CacheItemKey,
    CacheItemKeyPrefix,
    CacheItemSelector,
    DisposableTokenCachePermission,
    DisposableTokenCachePermissions,
    DisposableTokenScope,
)
from momento.auth.access_control.disposable_token_scopes import DisposableTokenScopes as Scopes
from momento.auth.access_control.permission_scope import (
    AllCaches,
    AllTopics,
    CachePermission,
    CacheRole,
    CacheSelector,
    Permission,
    Permissions,
    TopicPermission,
    TopicRole,
    TopicSelector,
)
from momento.errors import MomentoErrorCode
from momento_wire_types import cacheclient_pb2 as pb
from momento_wire_types import cachepubsub_pb2, token_pb2

from local.momento.rpcs import READ, READ_WRITE, WRITE, _rpcs
from local.momento.server import MomentoServer
from tests.support.momento_connections import Connections, Rpcs, StartMomento

CACHES = ["cache", "other"]
SCS = pb.DESCRIPTOR.services_by_name["Scs"]

# What Momento's permissionmessages.proto and its permissions page say, apart from the server's own table.
ACCESS_NEEDED = {
    READ: {
        *("Get", "GetWithHash", "GetBatch", "KeysExist", "ItemGetTtl", "ItemGetType"),
        *("DictionaryGet", "DictionaryFetch", "DictionaryLength"),
        *("SetFetch", "SetSample", "SetContains", "SetLength"),
        *("ListFetch", "ListLength"),
        *("SortedSetFetch", "SortedSetGetScore", "SortedSetGetRank"),
        *("SortedSetLength", "SortedSetLengthByScore"),
    },
    WRITE: {
        *("Set", "SetBatch", "Delete", "Increment"),
        *("DictionarySet", "DictionaryIncrement", "DictionaryDelete"),
        *("SetUnion", "SetDifference", "SetPop"),
        *("ListPushFront", "ListPushBack", "ListPopFront", "ListPopBack", "ListErase", "ListRemove"),
        *("ListConcatenateFront", "ListConcatenateBack", "ListRetain"),
        *("SortedSetPut", "SortedSetRemove", "SortedSetIncrement"),
    },
    # Conditional calls answer what was there; a union reads its sources.
    READ_WRITE: {"SetIf", "SetIfHash", "SetIfNotExists", "UpdateTtl", "SortedSetUnionStore"},
}


# Of a cache and a key, or a cache and a topic.
Pairs = list[tuple[str, str]]


@pytest.fixture
async def momento(start_momento: StartMomento) -> MomentoServer:
    return await start_momento(caches=CACHES)


def is_permitted(response: object) -> bool:
    error = getattr(response, "error_code", None)
    assert error in {None, MomentoErrorCode.PERMISSION_ERROR}, response
    return error is None


async def permitted_on_items(client: Any, items: Pairs) -> tuple[Pairs, Pairs]:
    """Return which of the (cache, key) items the client may read, and which it may write."""
    readable = [item for item in items if is_permitted(await client.get(*item))]
    writable = [item for item in items if is_permitted(await client.set(*item, "value"))]
    return readable, writable


ITEMS = [("cache", "key"), ("cache", "key-1"), ("cache", "no"), ("other", "key"), ("other", "key-1")]
IN_CACHE = ITEMS[:3]
KEY = ITEMS[:1]
KEY_EVERYWHERE = [ITEMS[0], ITEMS[3]]
PREFIXED = ITEMS[:2]
PREFIXED_EVERYWHERE = ITEMS[:2] + ITEMS[3:]


@pytest.mark.parametrize("sync", [False, True])
@pytest.mark.parametrize(
    ("scope", "readable", "writable"),
    [
        (Scopes.cache_read_write(AllCaches()), ITEMS, ITEMS),
        (Scopes.cache_read_only(AllCaches()), ITEMS, []),
        (Scopes.cache_write_only(AllCaches()), [], ITEMS),
        (Scopes.cache_read_write("cache"), IN_CACHE, IN_CACHE),
        (Scopes.cache_read_only("cache"), IN_CACHE, []),
        (Scopes.cache_write_only("cache"), [], IN_CACHE),
        (Scopes.cache_key_read_write("cache", "key"), KEY, KEY),
        (Scopes.cache_key_read_only("cache", "key"), KEY, []),
        (Scopes.cache_key_write_only("cache", "key"), [], KEY),
        (Scopes.cache_key_read_write(AllCaches(), "key"), KEY_EVERYWHERE, KEY_EVERYWHERE),
        (Scopes.cache_key_prefix_read_write("cache", "key"), PREFIXED, PREFIXED),
        (Scopes.cache_key_prefix_read_only("cache", "key"), PREFIXED, []),
        (Scopes.cache_key_prefix_write_only("cache", "key"), [], PREFIXED),
        (Scopes.cache_key_prefix_read_only(AllCaches(), "key"), PREFIXED_EVERYWHERE, []),
        (Scopes.topic_publish_subscribe(AllCaches(), AllTopics()), [], []),
    ],
)
async def test_a_token_may_do_what_its_cache_scope_allows(
    connections: Connections, scope: DisposableTokenScope, readable: Pairs, writable: Pairs, sync: bool
) -> None:
    client = await connections.cache(await connections.token(scope), sync=sync)
    assert await permitted_on_items(client, ITEMS) == (readable, writable)


TOPICS = [("cache", "topic"), ("cache", "topic-1"), ("other", "topic")]
IN_CACHE_TOPICS = TOPICS[:2]
TOPIC = TOPICS[:1]
TOPIC_EVERYWHERE = [TOPICS[0], TOPICS[2]]


@pytest.mark.parametrize("sync", [False, True])
@pytest.mark.parametrize(
    ("scope", "published", "subscribed"),
    [
        (Scopes.topic_publish_subscribe(AllCaches(), AllTopics()), TOPICS, TOPICS),
        (Scopes.topic_publish_only(AllCaches(), AllTopics()), TOPICS, []),
        (Scopes.topic_subscribe_only(AllCaches(), AllTopics()), [], TOPICS),
        (Scopes.topic_publish_subscribe("cache", AllTopics()), IN_CACHE_TOPICS, IN_CACHE_TOPICS),
        (Scopes.topic_publish_subscribe(AllCaches(), "topic"), TOPIC_EVERYWHERE, TOPIC_EVERYWHERE),
        (Scopes.topic_publish_subscribe("cache", "topic"), TOPIC, TOPIC),
        (Scopes.topic_publish_only("cache", "topic"), TOPIC, []),
        (Scopes.topic_subscribe_only("cache", "topic"), [], TOPIC),
        (Scopes.cache_read_write(AllCaches()), [], []),
    ],
)
async def test_a_token_may_do_what_its_topic_scope_allows(
    connections: Connections, scope: DisposableTokenScope, published: Pairs, subscribed: Pairs, sync: bool
) -> None:
    client = await connections.topics(await connections.token(scope), sync=sync)
    assert [t for t in TOPICS if is_permitted(await client.publish(*t, "text"))] == published
    subscriptions = {t: await client.subscribe(*t) for t in TOPICS}
    assert [t for t in TOPICS if is_permitted(subscriptions[t])] == subscribed
    for topic in subscribed:
        subscriptions[topic].unsubscribe()


async def test_a_topic_prefix_covers_what_begins_with_it(
    momento: MomentoServer, connections: Connections, rpcs: Rpcs
) -> None:
    # The Python SDK has no scope for it, the protocol does.
    statement = {
        "role": "TopicReadWrite",
        "cache_selector": {"cache_name": "cache"},
        "topic_selector": {"topic_name_prefix": "topic-"},
    }
    minted = await rpcs.GenerateDisposableToken(
        token_pb2._GenerateDisposableTokenRequest(
            auth_token=momento.api_key,
            expires={"valid_for_seconds": 60},
            permissions={"explicit": {"permissions": [{"topic_permissions": statement}]}},
        )
    )
    client = await connections.topics(minted.api_key)
    assert [t for t in TOPICS if is_permitted(await client.publish(*t, "text"))] == [("cache", "topic-1")]


async def test_statements_add_up(connections: Connections) -> None:
    permissions: list[Permission] = [
        CachePermission(CacheSelector("cache"), CacheRole.READ_ONLY),
        CachePermission(CacheSelector("other"), CacheRole.WRITE_ONLY),
        TopicPermission(TopicRole.PUBLISH_ONLY, CacheSelector("cache"), TopicSelector("topic")),
    ]
    token = await connections.token(DisposableTokenScope(Permissions(permissions)))
    readable, writable = await permitted_on_items(await connections.cache(token), ITEMS)
    assert (readable, writable) == (ITEMS[:3], ITEMS[3:])
    topics = await connections.topics(token)
    assert [t for t in TOPICS if is_permitted(await topics.publish(*t, "text"))] == TOPIC


async def test_item_statements_add_up(connections: Connections) -> None:
    def permission(
        item: CacheItemKey | CacheItemKeyPrefix | AllCacheItems, role: CacheRole
    ) -> DisposableTokenCachePermission:
        return DisposableTokenCachePermission(CacheSelector("cache"), role, CacheItemSelector(item))

    scope = DisposableTokenScope(
        DisposableTokenCachePermissions(
            [
                permission(CacheItemKey("key"), CacheRole.WRITE_ONLY),
                permission(CacheItemKeyPrefix("key-"), CacheRole.READ_WRITE),
                permission(AllCacheItems(), CacheRole.READ_ONLY),
            ]
        )
    )
    client = await connections.cache(await connections.token(scope))
    assert await permitted_on_items(client, ITEMS) == (IN_CACHE, PREFIXED)


def request_on_key(method: str) -> Any:
    """Return a request of the method that touches the key `key` only."""
    request = pb.__dict__[SCS.methods_by_name[method].input_type.name]()
    for field in ("cache_key", "dictionary_name", "set_name", "list_name"):
        if hasattr(request, field):
            setattr(request, field, b"key")
    if hasattr(request, "cache_keys"):
        request.cache_keys.append(b"key")
    if method in {"GetBatch", "SetBatch"}:
        request.items.add(cache_key=b"key")
    if method == "SortedSetUnionStore":
        request.sources.add(set_name=b"other-key", weight=1)
    return request


async def status_of(call: Any) -> grpc.StatusCode:
    try:
        if isinstance(call, grpc.aio.UnaryStreamCall):
            async for _ in call:
                pass
        else:
            await call
    except grpc.aio.AioRpcError as error:
        return error.code()
    return grpc.StatusCode.OK


async def test_every_call_is_refused_without_the_access_it_needs(connections: Connections) -> None:
    """Refuse each role that lacks a permission of the call, and no other one."""
    roles = {
        READ: Scopes.cache_key_prefix_read_only("cache", ""),
        WRITE: Scopes.cache_key_prefix_write_only("cache", ""),
        READ_WRITE: Scopes.cache_key_prefix_read_write("cache", ""),
        None: Scopes.cache_key_read_write("cache", "another"),
    }
    holders = {role: await connections.rpcs(await connections.token(scope)) for role, scope in roles.items()}
    needed_by = {method: access for access, methods in ACCESS_NEEDED.items() for method in methods}
    assert needed_by.keys() == set(SCS.methods_by_name)
    for method, needed in needed_by.items():
        for role, holder in holders.items():
            status = await status_of(getattr(holder, method)(request_on_key(method)))
            refused = status is grpc.StatusCode.PERMISSION_DENIED
            assert refused == (role is None or needed not in role), (method, role, status)


async def test_an_unknown_call_is_refused() -> None:
    with pytest.raises(KeyError):
        list(_rpcs(SCS, {}))


@pytest.mark.parametrize(
    "statement",
    [
        {"cache_permissions": {"role": "CacheReadWrite"}},
        {"topic_permissions": {"role": "TopicReadWrite", "all_topics": {}}},
    ],
)
async def test_a_statement_that_names_no_cache_covers_none(
    momento: MomentoServer, connections: Connections, rpcs: Rpcs, statement: dict[str, dict[str, Any]]
) -> None:
    minted = await rpcs.GenerateDisposableToken(
        token_pb2._GenerateDisposableTokenRequest(
            auth_token=momento.api_key,
            expires={"valid_for_seconds": 60},
            permissions={"explicit": {"permissions": [statement]}},
        )
    )
    holder = await connections.rpcs(minted.api_key)
    publish = cachepubsub_pb2._PublishRequest(cache_name="cache", topic="t", value={"text": "x"})
    for call in (holder.Get(pb._GetRequest(cache_key=b"key")), holder.Publish(publish)):
        assert await status_of(call) is grpc.StatusCode.PERMISSION_DENIED


async def test_calls_on_many_keys_need_access_to_each(connections: Connections) -> None:
    token = await connections.token(Scopes.cache_key_prefix_read_write("cache", "key"))
    holder = await connections.rpcs(token)
    item = {"cache_body": b"1", "ttl_milliseconds": 1000}
    source = {"weight": 1}
    for allowed, call in (
        (True, holder.KeysExist(pb._KeysExistRequest(cache_keys=[b"key-1", b"key-2"]))),
        (False, holder.KeysExist(pb._KeysExistRequest(cache_keys=[b"key-1", b"no"]))),
        (False, holder.GetBatch(pb._GetBatchRequest(items=[{"cache_key": b"no"}]))),
        (
            False,
            holder.SetBatch(
                pb._SetBatchRequest(items=[{"cache_key": b"key", **item}, {"cache_key": b"no", **item}])
            ),
        ),
        (
            False,
            holder.SortedSetUnionStore(
                pb._SortedSetUnionStoreRequest(
                    set_name=b"key", sources=[{"set_name": b"no", **source}], ttl_milliseconds=1000
                )
            ),
        ),
    ):
        expected = grpc.StatusCode.OK if allowed else grpc.StatusCode.PERMISSION_DENIED
        assert await status_of(call) is expected


async def test_a_call_refused_for_one_key_does_nothing_to_the_others(
    connections: Connections, rpcs: Rpcs
) -> None:
    holder = await connections.rpcs(await connections.token(Scopes.cache_key_read_write("cache", "key")))
    items = [{"cache_key": key, "cache_body": b"1", "ttl_milliseconds": 1000} for key in (b"key", b"no")]
    await status_of(holder.SetBatch(pb._SetBatchRequest(items=items)))
    assert (await rpcs.Get(pb._GetRequest(cache_key=b"key"))).result == pb.Miss


async def test_a_caller_without_permissions_cannot_learn_which_caches_exist(connections: Connections) -> None:
    holder = await connections.rpcs(await connections.token(Scopes.cache_read_only("cache")))
    status = await status_of(holder.sending(cache="no-such-cache").Get(pb._GetRequest(cache_key=b"k")))
    assert status is grpc.StatusCode.PERMISSION_DENIED
    publish = cachepubsub_pb2._PublishRequest(cache_name="no-such-cache", topic="t", value={"text": "x"})
    assert await status_of(holder.Publish(publish)) is grpc.StatusCode.PERMISSION_DENIED
