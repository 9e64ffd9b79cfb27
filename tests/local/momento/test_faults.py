"""Faults asked for by request metadata, with the names that the SDKs' own test middlewares send."""

import asyncio
import time
from collections.abc import Callable
from typing import Any

import grpc
import pytest
from momento_wire_types import cacheclient_pb2 as pb
from momento_wire_types import cachepubsub_pb2, controlclient_pb2, token_pb2

from local.momento import faults
from local.momento.faults import ERRORS
from tests.support.momento_connections import Rpcs

GET = pb._GetRequest(cache_key=b"key")


async def statuses(call: Callable[[], Any], times: int) -> list[str]:
    return [(await call().code()).name for _ in range(times)]


async def test_calls_fail_as_often_as_asked(rpcs: Rpcs) -> None:
    faulty = rpcs.sending(
        request_id="1", return_error="unavailable", error_rpcs="get list-fetch", error_count="2"
    )
    assert await statuses(lambda: faulty.Get(GET), 4) == ["UNAVAILABLE", "UNAVAILABLE", "OK", "OK"]
    other = rpcs.sending(request_id="2", return_error="internal", error_rpcs="get", error_count="1")
    assert await statuses(lambda: other.Get(GET), 2) == ["INTERNAL", "OK"]


async def test_other_faults_under_the_same_id_reset_the_counts(rpcs: Rpcs) -> None:
    faulty = rpcs.sending(request_id="1", return_error="unavailable", error_rpcs="get", error_count="1")
    assert await statuses(lambda: faulty.Get(GET), 2) == ["UNAVAILABLE", "OK"]
    other = faulty.sending(return_error="internal", error_count="2")
    assert await statuses(lambda: other.Get(GET), 3) == ["INTERNAL", "INTERNAL", "OK"]
    slow = faulty.sending(return_error="", error_rpcs="", error_count="", delay_rpcs="get", delay_ms="200")
    began = time.monotonic()
    assert await statuses(lambda: slow.Get(GET), 1) == ["OK"]
    assert time.monotonic() - began >= 0.2


async def test_without_an_id_nothing_is_counted(rpcs: Rpcs) -> None:
    faulty = rpcs.sending(return_error="unavailable", error_rpcs="get", error_count="1")
    assert await statuses(lambda: faulty.Get(GET), 3) == ["UNAVAILABLE"] * 3
    other = rpcs.sending(return_error="internal", error_rpcs="get")
    assert await statuses(lambda: other.Get(GET), 1) == ["INTERNAL"]


async def test_the_counts_that_were_unused_for_longest_are_forgotten(
    rpcs: Rpcs, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(faults, "_REMEMBERED_REQUESTS", 2)
    first, second, third = (
        rpcs.sending(request_id=number, return_error="unavailable", error_rpcs="get", error_count="1")
        for number in "123"
    )
    for caller in (first, second, first, third):
        await caller.Get(GET).code()
    assert await statuses(lambda: first.Get(GET), 1) == ["OK"]
    assert await statuses(lambda: second.Get(GET), 1) == ["UNAVAILABLE"]


async def test_without_a_count_every_named_call_fails(rpcs: Rpcs) -> None:
    faulty = rpcs.sending(request_id="1", return_error="deadline-exceeded", error_rpcs="get")
    assert await statuses(lambda: faulty.Get(GET), 3) == ["DEADLINE_EXCEEDED"] * 3
    delete = pb._DeleteRequest(cache_key=b"key")
    assert await statuses(lambda: faulty.Delete(delete), 1) == ["OK"]
    assert await statuses(lambda: rpcs.Get(GET), 1) == ["OK"]


@pytest.mark.parametrize("error", sorted(ERRORS))
async def test_every_status_can_be_asked_for(rpcs: Rpcs, error: str) -> None:
    faulty = rpcs.sending(request_id="1", return_error=error, error_rpcs="get")
    assert await faulty.Get(GET).code() is ERRORS[error]


@pytest.mark.parametrize(
    ("name", "call"),
    [
        ("topic-publish", lambda rpcs: rpcs.Publish(cachepubsub_pb2._PublishRequest())),
        ("set-if", lambda rpcs: rpcs.SetIfNotExists(pb._SetIfNotExistsRequest())),
        ("set-if", lambda rpcs: rpcs.SetIf(pb._SetIfRequest())),
        ("get-with-hash", lambda rpcs: rpcs.GetWithHash(pb._GetWithHashRequest())),
        ("list-remove", lambda rpcs: rpcs.ListErase(pb._ListEraseRequest())),
        ("list-push-front", lambda rpcs: rpcs.ListPushFront(pb._ListPushFrontRequest())),
        ("item-get-ttl", lambda rpcs: rpcs.ItemGetTtl(pb._ItemGetTtlRequest())),
        (
            "sorted-set-length-by-score",
            lambda rpcs: rpcs.SortedSetLengthByScore(pb._SortedSetLengthByScoreRequest()),
        ),
        ("create-cache", lambda rpcs: rpcs.CreateCache(controlclient_pb2._CreateCacheRequest())),
        (
            "generate-disposable-token",
            lambda rpcs: rpcs.GenerateDisposableToken(token_pb2._GenerateDisposableTokenRequest()),
        ),
    ],
)
async def test_rpcs_are_named_in_kebab_case(rpcs: Rpcs, name: str, call: Callable[[Rpcs], Any]) -> None:
    faulty = rpcs.sending(request_id="1", return_error="data-loss", error_rpcs=f"no-such-rpc {name}")
    assert await call(faulty).code() is grpc.StatusCode.DATA_LOSS


async def test_calls_are_delayed_as_often_as_asked(rpcs: Rpcs) -> None:
    slow = rpcs.sending(request_id="1", delay_rpcs="get", delay_ms="400", delay_count="1")
    began = time.monotonic()
    await slow.Get(GET)
    first = time.monotonic()
    await slow.Get(GET)
    assert first - began >= 0.4
    assert time.monotonic() - first < 0.4


async def test_a_delay_can_outlast_the_callers_patience(rpcs: Rpcs) -> None:
    slow = rpcs.sending(request_id="1", delay_rpcs="get", delay_ms="5000")
    assert await slow.Get(GET, timeout=0.1).code() is grpc.StatusCode.DEADLINE_EXCEEDED


async def test_a_delayed_call_can_fail_as_well(rpcs: Rpcs) -> None:
    faulty = rpcs.sending(
        request_id="1", delay_rpcs="get", delay_ms="100", error_rpcs="get", return_error="aborted"
    )
    began = time.monotonic()
    assert await faulty.Get(GET).code() is grpc.StatusCode.ABORTED
    assert time.monotonic() - began >= 0.1


async def test_a_stream_breaks_after_the_given_number_of_messages(rpcs: Rpcs) -> None:
    breaking = rpcs.sending(
        request_id="1",
        stream_error_rpcs="topic-subscribe",
        stream_error="unavailable",
        stream_error_message_limit="3",
    )
    request = cachepubsub_pb2._SubscriptionRequest(
        cache_name="cache", topic="topic", resume_at_topic_sequence_number=1
    )
    for value in ("1", "2", "3"):
        await rpcs.Publish(
            cachepubsub_pb2._PublishRequest(cache_name="cache", topic="topic", value={"text": value})
        )
    stream = breaking.Subscribe(request)
    received = [(await stream.read()).WhichOneof("kind") for _ in range(3)]
    assert received == ["heartbeat", "item", "item"]
    with pytest.raises(grpc.aio.AioRpcError) as broken:
        await stream.read()
    assert broken.value.code() is grpc.StatusCode.UNAVAILABLE


@pytest.mark.parametrize("error", ["unavailable", "not-found"])
async def test_a_stream_that_carries_only_heartbeats_breaks_too(rpcs: Rpcs, error: str) -> None:
    breaking = rpcs.sending(
        request_id="1",
        stream_error_rpcs="topic-subscribe",
        stream_error=error,
        stream_error_message_limit="3",
    )
    subscription = cachepubsub_pb2._SubscriptionRequest(cache_name="cache", topic="topic")
    # Each new stream of the same test breaks at the same point.
    for _ in range(2):
        stream = breaking.Subscribe(subscription)
        async with asyncio.timeout(3):
            received = [(await stream.read()).WhichOneof("kind") for _ in range(3)]
            with pytest.raises(grpc.aio.AioRpcError) as broken:
                await stream.read()
        assert received == ["heartbeat"] * 3
        assert broken.value.code() is ERRORS[error]


async def test_a_stream_can_begin_late_and_then_break(rpcs: Rpcs) -> None:
    late = rpcs.sending(
        request_id="1",
        delay_rpcs="topic-subscribe",
        delay_ms="400",
        delay_count="1",
        stream_error_rpcs="topic-subscribe",
        stream_error="unavailable",
        stream_error_message_limit="1",
    )
    began = time.monotonic()
    stream = late.Subscribe(cachepubsub_pb2._SubscriptionRequest(cache_name="cache", topic="topic"))
    assert (await stream.read()).WhichOneof("kind") == "heartbeat"
    assert time.monotonic() - began >= 0.4
    assert await stream.code() is grpc.StatusCode.UNAVAILABLE


async def test_subscribing_can_fail_at_once(rpcs: Rpcs) -> None:
    faulty = rpcs.sending(request_id="1", return_error="not-found", error_rpcs="topic-subscribe")
    stream = faulty.Subscribe(cachepubsub_pb2._SubscriptionRequest(cache_name="cache", topic="topic"))
    assert await stream.code() is grpc.StatusCode.NOT_FOUND


@pytest.mark.parametrize("number", ["-1", "x", "9" * 400])
async def test_nonsense_is_ignored(rpcs: Rpcs, number: str) -> None:
    odd = rpcs.sending(
        request_id="1",
        return_error="no-such-error",
        error_rpcs="get",
        error_count=number,
        delay_rpcs="get",
        delay_ms=number,
    )
    assert await statuses(lambda: odd.Get(GET), 1) == ["OK"]
