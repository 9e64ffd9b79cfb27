"""Sizes, always; rates, where they are asked for."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Any

import grpc
import pytest
from momento.auth.access_control.disposable_token_scopes import DisposableTokenScopes
from momento.errors import MomentoErrorCode
from momento.responses import (
    CacheDictionaryFetch,
    CacheListFetch,
    CacheSet,
    CreateCache,
    GenerateDisposableToken,
    GenerateDisposableTokenResponse,
    TopicPublish,
)
from momento.utilities import ExpiresIn
from momento_wire_types import cachepubsub_pb2 as pb

from tests.support.momento_connections import Connect, Connections, StartMomento

KB = 1024


def is_limited(response: object) -> bool:
    error = getattr(response, "error_code", None)
    assert error in {None, MomentoErrorCode.LIMIT_EXCEEDED_ERROR}, response
    return error is not None


@pytest.mark.parametrize(
    ("value", "limited"),
    [("x" * 4 * KB, False), ("x" * (4 * KB + 1), True), ("é" * (2 * KB + 1), True), (b"x" * 4097, True)],
    ids=["just fits", "text", "text of two bytes a character", "binary"],
)
async def test_a_message_has_at_most_4_kb(topic_client: Any, value: str | bytes, limited: bool) -> None:
    response = await topic_client.publish("cache", "topic", value)
    assert is_limited(response) == limited
    if limited:
        assert isinstance(response, TopicPublish.Error)
        assert "Request size limit exceeded" in response.message


async def test_an_item_has_at_most_1_mb_key_included(client: Any) -> None:
    assert not is_limited(await client.set("cache", "key", b"x" * (KB * KB - 3)))
    response = await client.set("cache", "key", b"x" * (KB * KB - 2))
    assert isinstance(response, CacheSet.Error)
    assert is_limited(response)
    assert "Item size limit exceeded" in response.message


async def test_a_collection_that_would_grow_too_large_stays_as_it_is(client: Any) -> None:
    value = "x" * 100 * KB
    for _ in range(10):
        assert not is_limited(await client.list_push_back("cache", "l", value))
    assert is_limited(await client.list_push_back("cache", "l", value))
    fetched = await client.list_fetch("cache", "l")
    assert isinstance(fetched, CacheListFetch.Hit)
    assert len(fetched.value_list_string) == 10


async def test_an_element_has_at_most_128_kb(client: Any) -> None:
    too_large = "x" * (128 * KB + 1)
    for response in (
        await client.list_push_back("cache", "l", too_large),
        await client.set_add_element("cache", "s", too_large),
        await client.dictionary_set_field("cache", "d", "f", too_large),
        await client.sorted_set_put_element("cache", "z", too_large, 1.0),
    ):
        assert is_limited(response)
        assert "Element size limit exceeded" in response.message
    assert isinstance(await client.dictionary_fetch("cache", "d"), CacheDictionaryFetch.Miss)


async def test_rates_do_not_count_unless_asked_for(connections: Connections) -> None:
    auth, cache = await connections.auth(), await connections.cache()
    topics = await connections.topics()
    scope = DisposableTokenScopes.cache_read_only("cache")
    for number in range(12):
        minted = await auth.generate_disposable_token(scope, ExpiresIn.minutes(1))
        assert isinstance(minted, GenerateDisposableToken.Success)
        assert isinstance(await cache.create_cache(str(number)), CreateCache.Success)
        assert isinstance(await topics.publish("cache", "topic", "x"), TopicPublish.Success)


@pytest.fixture
async def limited(start_momento: StartMomento, connect: Connect) -> Connections:
    return connect(await start_momento(rate_limits=True))


async def require_rate(call: Callable[[int], Awaitable[object]], per_second: int) -> None:
    """Check that of many concurrent attempts only as many succeed as the rate allows."""
    began = time.monotonic()
    responses = await asyncio.gather(*(call(number) for number in range(4 * per_second)))
    refilled = (time.monotonic() - began) * per_second
    let_through = sum(not is_limited(response) for response in responses)
    assert per_second <= let_through <= per_second + refilled + 1
    assert let_through < len(responses)


async def test_five_tokens_are_minted_a_second(limited: Connections) -> None:
    auth = await limited.auth()
    scope = DisposableTokenScopes.cache_read_only("cache")

    async def mint(_: int) -> GenerateDisposableTokenResponse:
        return await auth.generate_disposable_token(scope, ExpiresIn.minutes(1))

    await require_rate(mint, 5)
    await asyncio.sleep(1)
    await require_rate(mint, 5)


async def test_five_control_calls_are_made_a_second(limited: Connections) -> None:
    cache = await limited.cache()
    await require_rate(lambda number: cache.create_cache(str(number)), 5)


async def test_ten_messages_are_published_a_second_when_nobody_listens(limited: Connections) -> None:
    topics = await limited.topics()
    await require_rate(lambda _: topics.publish("cache", "topic", "x"), 10)


async def numbers_until(stream: Any, last: int) -> tuple[list[int], list[int]]:
    """Return the sequence numbers of all messages up to the last one, received and announced as missed."""
    delivered: list[int] = []
    missed: list[int] = []
    async with asyncio.timeout(3):
        while last not in delivered:
            item = await stream.read()
            if item.WhichOneof("kind") == "item":
                delivered.append(item.item.topic_sequence_number)
            elif item.WhichOneof("kind") == "discontinuity":
                gap = item.discontinuity
                missed += range(gap.last_topic_sequence + 1, gap.new_topic_sequence + 1)
    return delivered, missed


async def test_deliveries_count_and_omitted_ones_are_a_discontinuity(limited: Connections) -> None:
    rpcs = await limited.rpcs()
    request = pb._SubscriptionRequest(cache_name="cache", topic="topic")
    streams = [rpcs.Subscribe(request) for _ in range(3)]
    for stream in streams:
        await stream.read()
    publish = pb._PublishRequest(cache_name="cache", topic="topic", value={"text": "x"})
    statuses = [await rpcs.Publish(publish).code() for _ in range(10)]
    assert set(statuses) == {grpc.StatusCode.OK, grpc.StatusCode.RESOURCE_EXHAUSTED}
    published = statuses.count(grpc.StatusCode.OK)
    await asyncio.sleep(1)
    await rpcs.Publish(publish)
    outcomes = [await numbers_until(stream, published + 1) for stream in streams]
    assert any(missed for _, missed in outcomes)
    for delivered, missed in outcomes:
        assert sorted(delivered + missed) == list(range(1, published + 2))


async def is_let_in(stream: Any) -> bool:
    try:
        await stream.read()
    except grpc.aio.AioRpcError:
        return False
    return True


async def test_an_account_has_100_subscriptions(limited: Connections) -> None:
    rpcs = await limited.rpcs()
    request = pb._SubscriptionRequest(cache_name="cache", topic="topic")
    streams = [rpcs.Subscribe(request) for _ in range(100)]
    for stream in streams:
        assert (await stream.read()).WhichOneof("kind") == "heartbeat"
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await rpcs.Subscribe(request).read()
    assert refused.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
    assert ("err", "topic_subscriptions_limit_exceeded") in tuple(refused.value.trailing_metadata())
    streams[0].cancel()
    # Another one may come as soon as the server has noticed that this one left.
    async with asyncio.timeout(3):
        while not await is_let_in(rpcs.Subscribe(request)):  # noqa: ASYNC110
            await asyncio.sleep(0.01)
