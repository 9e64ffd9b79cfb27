"""Topics: delivery, order, resuming, discontinuities, heartbeats."""

import asyncio
from typing import Any

import aiohttp
import grpc
import pytest
from momento.errors import MomentoErrorCode
from momento.responses import TopicPublish, TopicSubscribe, TopicSubscriptionItem
from momento_wire_types import cachepubsub_pb2 as pb

from local.momento import topics
from local.momento.server import MomentoServer, Timings
from local.momento.topics import HISTORY_MESSAGES
from tests.support.momento_connections import Connect, Connections, Eventually, Rpcs, StartMomento


def subscribe(rpcs: Rpcs, resume_at: int = 0, page: int = 0, topic: str = "topic") -> Any:
    """Subscribe. The first heartbeat is not read yet."""
    return rpcs.Subscribe(
        pb._SubscriptionRequest(
            cache_name="cache", topic=topic, resume_at_topic_sequence_number=resume_at, sequence_page=page
        )
    )


async def publish(rpcs: Rpcs, *values: str, topic: str = "topic") -> None:
    for value in values:
        await rpcs.Publish(pb._PublishRequest(cache_name="cache", topic=topic, value={"text": value}))


async def read(stream: Any, kind: str) -> Any:
    """Return the next item of the stream. Skip heartbeats unless they are asked for."""
    async with asyncio.timeout(5):
        while True:
            item = await stream.read()
            assert item is not grpc.aio.EOF
            if item.WhichOneof("kind") in {kind, "item", "discontinuity"}:
                assert item.WhichOneof("kind") == kind, item
                return getattr(item, kind)


async def read_item(stream: Any) -> tuple[int, str]:
    item = await read(stream, "item")
    return item.topic_sequence_number, item.value.text


@pytest.fixture
async def page(rpcs: Rpcs) -> int:
    """Publish message 1, and return the sequence page of the topic."""
    await publish(rpcs, "first")
    page: int = (await read(subscribe(rpcs, resume_at=1), "item")).sequence_page
    return page


async def next_item(subscription: Any) -> Any:
    """Return the next item of either SDK's subscription."""
    if isinstance(subscription, TopicSubscribe.Subscription):
        return await asyncio.to_thread(next, subscription)
    return await anext(subscription)


async def test_subscribers_get_text_and_bytes_with_their_numbers(topic_client: Any) -> None:
    subscription = await topic_client.subscribe("cache", "topic")
    assert not isinstance(subscription, TopicSubscribe.Error), subscription
    assert isinstance(await topic_client.publish("cache", "topic", "text"), TopicPublish.Success)
    await topic_client.publish("cache", "topic", b"\x00\xff")
    text = await next_item(subscription)
    assert isinstance(text, TopicSubscriptionItem.Text)
    assert (text.value, text.sequence_number) == ("text", 1)
    binary = await next_item(subscription)
    assert isinstance(binary, TopicSubscriptionItem.Binary)
    assert (binary.value, binary.sequence_number) == (b"\x00\xff", 2)
    assert binary.sequence_page == text.sequence_page > 0
    subscription.unsubscribe()


async def test_the_sdks_resume_at_the_given_number(topic_client: Any) -> None:
    for value in ("one", "two", "three"):
        await topic_client.publish("cache", "topic", value)
    subscription = await topic_client.subscribe("cache", "topic", resume_at_topic_sequence_number=2)
    assert (await next_item(subscription)).value == "two"
    assert (await next_item(subscription)).value == "three"
    subscription.unsubscribe()


async def test_an_unknown_cache_has_no_topics(topic_client: Any) -> None:
    published = await topic_client.publish("no-such-cache", "topic", "text")
    assert isinstance(published, TopicPublish.Error)
    assert published.error_code is MomentoErrorCode.NOT_FOUND_ERROR
    subscription = await topic_client.subscribe("no-such-cache", "topic")
    assert isinstance(subscription, TopicSubscribe.Error)
    assert subscription.error_code is MomentoErrorCode.NOT_FOUND_ERROR


async def test_a_subscription_without_a_number_begins_with_the_latest_message(rpcs: Rpcs, page: int) -> None:
    await publish(rpcs, "second")
    stream = subscribe(rpcs)
    assert (await stream.read()).WhichOneof("kind") == "heartbeat"
    item = (await stream.read()).item
    assert (item.topic_sequence_number, item.sequence_page, item.value.text) == (2, page, "second")
    await publish(rpcs, "third")
    assert await read_item(stream) == (3, "third")


async def test_a_subscription_without_a_number_ignores_the_page(rpcs: Rpcs, page: int) -> None:
    assert await read_item(subscribe(rpcs, page=page - 1)) == (1, "first")


async def test_a_subscription_from_1_begins_with_messages_before_the_newest(rpcs: Rpcs, page: int) -> None:
    await publish(rpcs, "second")
    stream = subscribe(rpcs, resume_at=1)
    assert await read_item(stream) == (1, "first")
    assert await read_item(stream) == (2, "second")


async def test_a_subscription_begins_with_the_next_message_if_none_is_held(
    rpcs: Rpcs, momento: MomentoServer, http: aiohttp.ClientSession, page: int
) -> None:
    await http.post(f"{momento.admin_url}/reset-topic?cache=cache&topic=topic")
    stream = subscribe(rpcs)
    await read(stream, "heartbeat")
    await publish(rpcs, "anew")
    assert await read_item(stream) == (1, "anew")


async def test_the_sdks_get_what_was_published_before_they_subscribed(topic_client: Any) -> None:
    await topic_client.publish("cache", "topic", "before")
    for number, page in ((0, 0), (1, 0), (300, 5435435)):
        subscription = await topic_client.subscribe("cache", "topic", number, page)
        async with asyncio.timeout(5):
            assert (await next_item(subscription)).value == "before"
        subscription.unsubscribe()


async def test_a_resumed_subscription_begins_with_a_heartbeat_too(rpcs: Rpcs, page: int) -> None:
    stream = subscribe(rpcs, resume_at=1, page=page)
    assert (await stream.read()).WhichOneof("kind") == "heartbeat"
    assert await read_item(stream) == (1, "first")


async def test_all_subscribers_get_the_same_order(rpcs: Rpcs) -> None:
    streams = [subscribe(rpcs) for _ in range(3)]
    for stream in streams:
        await read(stream, "heartbeat")
    await asyncio.gather(*(publish(rpcs, str(number)) for number in range(20)))
    orders = [[await read_item(stream) for _ in range(20)] for stream in streams]
    assert [number for number, _ in orders[0]] == list(range(1, 21))
    assert orders[0] == orders[1] == orders[2]


async def test_topics_do_not_mix(rpcs: Rpcs) -> None:
    stream = subscribe(rpcs, topic="other")
    await read(stream, "heartbeat")
    await publish(rpcs, "elsewhere")
    await publish(rpcs, "here", topic="other")
    assert await read_item(stream) == (1, "here")


async def test_an_idle_subscription_gets_heartbeats(start_momento: StartMomento, connect: Connect) -> None:
    momento = await start_momento(timings=Timings(heartbeat=0.02))
    stream = subscribe(await connect(momento).rpcs())
    async with asyncio.timeout(5):
        for _ in range(3):
            assert (await stream.read()).WhichOneof("kind") == "heartbeat"


async def test_three_heartbeats_come_within_three_seconds_by_default(rpcs: Rpcs) -> None:
    stream = subscribe(rpcs)
    assert (await stream.read()).WhichOneof("kind") == "heartbeat"
    async with asyncio.timeout(3):
        for _ in range(3):
            assert (await stream.read()).WhichOneof("kind") == "heartbeat"


async def test_resuming_past_the_newest_message_is_no_discontinuity(rpcs: Rpcs, page: int) -> None:
    stream = subscribe(rpcs, resume_at=2, page=page)
    await read(stream, "heartbeat")
    await publish(rpcs, "second")
    assert await read_item(stream) == (2, "second")


async def test_a_number_that_is_still_to_come_is_a_discontinuity(rpcs: Rpcs, page: int) -> None:
    stream = subscribe(rpcs, resume_at=7, page=page)
    gap = await read(stream, "discontinuity")
    assert (gap.last_topic_sequence, gap.new_topic_sequence, gap.new_sequence_page) == (6, 1, page)
    await publish(rpcs, "second")
    assert await read_item(stream) == (2, "second")


async def test_dropped_messages_are_a_discontinuity(rpcs: Rpcs, page: int) -> None:
    for _ in range(HISTORY_MESSAGES // 100):
        await asyncio.gather(*(publish(rpcs, "more") for _ in range(100)))
    await publish(rpcs, "last")
    stream = subscribe(rpcs, resume_at=1, page=page)
    gap = await read(stream, "discontinuity")
    assert (gap.last_topic_sequence, gap.new_topic_sequence, gap.new_sequence_page) == (0, 2, page)
    assert await read_item(stream) == (3, "more")


async def test_an_old_page_is_a_discontinuity(
    rpcs: Rpcs, momento: MomentoServer, http: aiohttp.ClientSession, page: int
) -> None:
    await publish(rpcs, "second")
    await http.post(f"{momento.admin_url}/reset-topic?cache=cache&topic=topic")
    await publish(rpcs, "anew")
    stream = subscribe(rpcs, resume_at=3, page=page)
    gap = await read(stream, "discontinuity")
    assert (gap.last_topic_sequence, gap.new_topic_sequence) == (2, 0)
    assert gap.new_sequence_page > page
    assert await read_item(stream) == (1, "anew")


async def test_a_reset_is_announced_to_subscribers(
    rpcs: Rpcs, momento: MomentoServer, http: aiohttp.ClientSession, page: int
) -> None:
    stream = subscribe(rpcs)
    assert await read_item(stream) == (1, "first")
    await http.post(f"{momento.admin_url}/reset-topic?cache=cache&topic=topic")
    gap = await read(stream, "discontinuity")
    assert (gap.last_topic_sequence, gap.new_topic_sequence) == (1, 0)
    assert gap.new_sequence_page > page
    await publish(rpcs, "anew")
    item = await read(stream, "item")
    assert (item.topic_sequence_number, item.sequence_page) == (1, gap.new_sequence_page)


async def test_resets_within_one_millisecond_have_pages_that_grow(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(topics, "epoch_milliseconds", lambda: 1000)
    topic = topics.Topic()
    pages = [topic.sequence_page]
    for _ in range(2):
        topic.reset()
        pages.append(topic.sequence_page)
    assert pages == [1000, 1001, 1002]


async def test_an_idle_topic_counts_from_the_start_again(
    start_momento: StartMomento, connect: Connect
) -> None:
    momento = await start_momento(timings=Timings(topic_idle_reset=0.5, sweep=0.02))
    rpcs = await connect(momento).rpcs()
    stream = subscribe(rpcs)
    await read(stream, "heartbeat")
    await publish(rpcs, "first", "second")
    before = [await read(stream, "item") for _ in range(2)][-1]
    await asyncio.sleep(0.6)
    await publish(rpcs, "anew")
    gap = await read(stream, "discontinuity")
    after = await read(stream, "item")
    assert (before.topic_sequence_number, after.topic_sequence_number) == (2, 1)
    assert before.sequence_page < after.sequence_page == gap.new_sequence_page


async def test_an_idle_topic_without_subscribers_is_forgotten(
    start_momento: StartMomento, connect: Connect, eventually: Eventually
) -> None:
    momento = await start_momento(timings=Timings(topic_idle_reset=0.05, sweep=0.02))
    rpcs = await connect(momento).rpcs()
    await publish(rpcs, "first")
    await eventually(lambda: not momento._topics._topics)
    stream = subscribe(rpcs)
    await read(stream, "heartbeat")
    await publish(rpcs, "anew")
    assert await read_item(stream) == (1, "anew")


async def test_a_subscriber_that_does_not_read_gets_a_discontinuity(rpcs: Rpcs, page: int) -> None:
    stream = subscribe(rpcs, resume_at=1, page=page)
    await read_item(stream)
    value = "x" * 4000
    count = 3 * HISTORY_MESSAGES
    for _ in range(count // 100):
        await asyncio.gather(*(publish(rpcs, value) for _ in range(100)))
    await publish(rpcs, "last")
    expected = 2
    gap = None
    async with asyncio.timeout(20):
        while expected <= count + 2:
            item = await stream.read()
            if item.WhichOneof("kind") == "discontinuity":
                gap = item.discontinuity
                assert gap.last_topic_sequence == expected - 1
                expected = gap.new_topic_sequence + 1
            elif item.WhichOneof("kind") == "item":
                assert item.item.topic_sequence_number == expected
                expected += 1
    assert gap is not None
    assert item.item.value.text == "last"


async def test_a_deleted_cache_ends_its_subscriptions(rpcs: Rpcs, connections: Connections) -> None:
    stream = subscribe(rpcs)
    await read(stream, "heartbeat")
    await (await connections.cache()).delete_cache("cache")
    with pytest.raises(grpc.aio.AioRpcError) as ended:
        await read(stream, "item")
    assert ended.value.code() is grpc.StatusCode.NOT_FOUND


async def test_a_subscriber_that_leaves_is_no_longer_counted(
    rpcs: Rpcs, momento: MomentoServer, eventually: Eventually
) -> None:
    stream = subscribe(rpcs)
    await read(stream, "heartbeat")
    topic = momento._topics.get("cache", "topic")
    assert topic.subscribers == 1
    stream.cancel()
    await eventually(lambda: topic.subscribers == 0)


@pytest.mark.parametrize(
    "request_",
    [
        pb._PublishRequest(cache_name="cache", topic="topic"),
        pb._PublishRequest(cache_name="cache", topic="", value={"text": "x"}),
        pb._PublishRequest(cache_name="", topic="topic", value={"text": "x"}),
    ],
    ids=["no value", "no topic", "no cache"],
)
async def test_a_request_without_a_name_is_an_invalid_argument(
    rpcs: Rpcs, request_: pb._PublishRequest
) -> None:
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await rpcs.Publish(request_)
    assert refused.value.code() is grpc.StatusCode.INVALID_ARGUMENT
