"""The test admin: the port closed and opened again, and faults for callers that cannot send metadata."""

import asyncio
import socket
import sys
import time

import aiohttp
import grpc
import pytest
from momento.errors import MomentoErrorCode
from momento.responses import CacheGet, CacheIncrement, CacheSet, TopicPublish
from momento_wire_types import cacheclient_pb2, cachepubsub_pb2
from yarl import URL

from local.momento.server import MomentoServer
from local.momento.webhooks import WebhookSubscription
from tests.support.momento_connections import Connections, Rpcs


async def test_it_is_healthy(momento: MomentoServer, http: aiohttp.ClientSession) -> None:
    for answer in (
        await http.get(f"{momento.admin_url}/health"),
        await http.post(f"{momento.admin_url}/health"),
    ):
        assert (answer.status, await answer.json()) == (200, {"status": "ok"})


async def test_a_blocked_port_drops_connections_and_takes_no_new_ones(
    momento: MomentoServer, http: aiohttp.ClientSession, rpcs: Rpcs
) -> None:
    stream = rpcs.Subscribe(cachepubsub_pb2._SubscriptionRequest(cache_name="cache", topic="topic"))
    await stream.read()
    assert (await http.post(f"{momento.admin_url}/block")).status == 200
    with pytest.raises(grpc.aio.AioRpcError) as dropped:
        await stream.read()
    assert dropped.value.code() is grpc.StatusCode.UNAVAILABLE
    with socket.socket() as probe:
        assert probe.connect_ex((momento.host, momento.port)) != 0
    assert (await http.post(f"{momento.admin_url}/block")).status == 200


async def test_an_unblocked_port_has_its_number_and_all_data_again(
    momento: MomentoServer, http: aiohttp.ClientSession, connections: Connections
) -> None:
    port = momento.port
    client = await connections.cache()
    await client.set("cache", "key", "value")
    await http.get(f"{momento.admin_url}/block")
    refused = await client.get("cache", "key")
    assert isinstance(refused, CacheGet.Error)
    assert refused.error_code is MomentoErrorCode.SERVER_UNAVAILABLE
    await http.get(f"{momento.admin_url}/unblock")
    assert (await http.get(f"{momento.admin_url}/unblock")).status == 200
    assert momento.port == port
    rpcs = await connections.rpcs()
    hit = await rpcs.Get(cacheclient_pb2._GetRequest(cache_key=b"key"), wait_for_ready=True)
    assert hit.cache_body == b"value"


async def test_the_last_of_concurrent_blocks_and_unblocks_decides(momento: MomentoServer, rpcs: Rpcs) -> None:
    get = cacheclient_pb2._GetRequest(cache_key=b"key")
    for calls in ((momento.block, momento.unblock), (momento.block,), (momento.unblock, momento.unblock)):
        await asyncio.gather(*(call() for call in calls))
    assert (await rpcs.Get(get, wait_for_ready=True, timeout=5)).result == cacheclient_pb2.Miss
    await asyncio.gather(momento.block(), momento.unblock())
    assert (await rpcs.Get(get, wait_for_ready=True, timeout=5)).result == cacheclient_pb2.Miss


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux reserves a port that is not listened on")
async def test_a_blocked_port_is_given_to_no_other_process(
    momento: MomentoServer, http: aiohttp.ClientSession
) -> None:
    await http.post(f"{momento.admin_url}/block")
    for port in (momento.port, URL(momento.web_url).port):
        with socket.socket() as other, pytest.raises(OSError, match="in use"):
            other.bind((momento.host, port))
    assert (await http.post(f"{momento.admin_url}/unblock")).status == 200


async def test_a_port_that_another_process_listens_on_stays_blocked(
    momento: MomentoServer, http: aiohttp.ClientSession
) -> None:
    await http.post(f"{momento.admin_url}/block")
    with socket.create_server((momento.host, momento.port)):
        answer = await http.post(f"{momento.admin_url}/unblock")
    assert answer.status == 409
    assert str(momento.port) in await answer.text()
    assert (await http.post(f"{momento.admin_url}/unblock")).status == 200


@pytest.mark.parametrize("sync", [False, True])
async def test_clients_go_on_when_their_port_is_unblocked(
    momento: MomentoServer, http: aiohttp.ClientSession, connections: Connections, sync: bool
) -> None:
    """One round may be luck: connections break at different moments of their calls."""
    client = await connections.cache(sync=sync)
    topics = await connections.topics(sync=sync)
    for number in range(5):
        await http.post(f"{momento.admin_url}/block")
        refused = await client.set("cache", "key", str(number))
        assert isinstance(refused, CacheSet.Error)
        assert refused.error_code is MomentoErrorCode.SERVER_UNAVAILABLE
        await http.post(f"{momento.admin_url}/unblock")
        async with asyncio.timeout(20):
            # Each call ends when its connection has been tried; gRPC says when to try again.
            while not isinstance(await client.set("cache", "key", str(number)), CacheSet.Success):
                pass
            while not isinstance(await topics.publish("cache", "topic", str(number)), TopicPublish.Success):
                pass
        hit = await client.get("cache", "key")
        assert isinstance(hit, CacheGet.Hit)
        assert hit.value_string == str(number)


async def test_a_block_ends_running_calls_as_unavailable(
    momento: MomentoServer, http: aiohttp.ClientSession, connections: Connections
) -> None:
    """CANCELLED would be for the SDKs what the caller wanted: they would not try again."""
    get = cacheclient_pb2._GetRequest(cache_key=b"key")
    subscription = cachepubsub_pb2._SubscriptionRequest(cache_name="cache", topic="topic")
    for _ in range(3):
        calls = []
        for _ in range(10):
            rpcs = await connections.rpcs(own_connection=True)
            stream = rpcs.Subscribe(subscription)
            await stream.read()
            slow = rpcs.sending(delay_rpcs="get", delay_ms="20000")
            calls += [stream, *(slow.Get(get) for _ in range(3))]
            # Sent after the slow calls: when it is answered, they have arrived.
            await rpcs.Get(get)
        await http.post(f"{momento.admin_url}/block")
        assert {await call.code() for call in calls} == {grpc.StatusCode.UNAVAILABLE}
        await http.post(f"{momento.admin_url}/unblock")


@pytest.mark.parametrize("sync", [False, True])
async def test_calls_can_be_made_to_fail(
    momento: MomentoServer, http: aiohttp.ClientSession, connections: Connections, sync: bool
) -> None:
    client = await connections.cache(sync=sync)
    fail = f"{momento.admin_url}/fail?rpcs=increment%20set&error=resource-exhausted&count=2"
    assert (await http.post(fail)).status == 200
    responses = [
        await client.increment("cache", "n"),
        await client.set("cache", "key", "value"),
        await client.increment("cache", "n"),
    ]
    assert [type(response) for response in responses] == [
        CacheIncrement.Error,
        CacheSet.Error,
        CacheIncrement.Success,
    ]
    assert responses[0].error_code is MomentoErrorCode.LIMIT_EXCEEDED_ERROR


async def test_faults_last_until_they_are_cleared(
    momento: MomentoServer, http: aiohttp.ClientSession, connections: Connections
) -> None:
    client = await connections.cache()
    await http.post(f"{momento.admin_url}/fail?rpcs=increment&error=internal")
    for _ in range(3):
        assert isinstance(await client.increment("cache", "n"), CacheIncrement.Error)
    await http.post(f"{momento.admin_url}/clear-faults")
    assert isinstance(await client.increment("cache", "n"), CacheIncrement.Success)


async def test_calls_can_be_delayed(
    momento: MomentoServer, http: aiohttp.ClientSession, connections: Connections
) -> None:
    client = await connections.cache()
    await client.set("cache", "key", "value")
    await http.post(f"{momento.admin_url}/delay?rpcs=get&ms=400&count=1")
    began = time.monotonic()
    await client.get("cache", "key")
    delayed = time.monotonic() - began
    await client.get("cache", "key")
    assert delayed >= 0.4 > time.monotonic() - began - delayed


@pytest.mark.parametrize(
    ("fault", "status"), [("fail?error=internal", "INTERNAL"), ("delay?ms=5000", "DEADLINE_EXCEEDED")]
)
async def test_calls_can_be_carried_out_without_an_answer(
    momento: MomentoServer, http: aiohttp.ClientSession, rpcs: Rpcs, fault: str, status: str
) -> None:
    await http.post(f"{momento.admin_url}/{fault}&rpcs=set&when=after")
    request = cacheclient_pb2._SetRequest(cache_key=b"key", cache_body=b"value", ttl_milliseconds=60_000)
    unconfirmed = rpcs.Set(request, timeout=0.5)
    assert (await unconfirmed.code()).name == status
    fetched = await rpcs.Get(cacheclient_pb2._GetRequest(cache_key=b"key"))
    assert fetched.cache_body == b"value"


async def test_the_answer_to_a_batch_can_fail_after_its_work(
    momento: MomentoServer, http: aiohttp.ClientSession, rpcs: Rpcs
) -> None:
    await http.post(f"{momento.admin_url}/fail?rpcs=set-batch&error=unavailable&when=after")
    item = {"cache_key": b"key", "cache_body": b"value", "ttl_milliseconds": 60_000}
    batch = rpcs.SetBatch(cacheclient_pb2._SetBatchRequest(items=[item]))
    assert (await batch.read()).result == cacheclient_pb2.Ok
    assert await batch.code() is grpc.StatusCode.UNAVAILABLE
    fetched = await rpcs.Get(cacheclient_pb2._GetRequest(cache_key=b"key"))
    assert fetched.cache_body == b"value"


@pytest.mark.parametrize(
    ("path", "complaint"),
    [
        ("/fail?rpcs=get", "error is missing"),
        ("/fail?rpcs=get&error=bad", "error must be one of"),
        ("/fail?rpcs=no-such-rpc&error=internal", "unknown RPC: no-such-rpc"),
        ("/fail?error=internal", "rpcs is missing"),
        ("/fail?rpcs=%20&error=internal", "rpcs is missing"),
        ("/fail?rpcs=get&error=internal&count=x", "count must be a number"),
        (f"/fail?rpcs=get&error=internal&count={'9' * 5000}", "count must be a number"),
        ("/delay?rpcs=get&ms=x", "ms must be a number"),
        (f"/delay?rpcs=get&ms={'9' * 400}", "ms must be a number"),
        ("/fail?rpcs=topic-subscribe&error=internal&when=after", "topic-subscribe never ends"),
        ("/delay?rpcs=get&ms=1&when=x", "when must be before or after"),
        ("/reset-topic?cache=cache", "topic is missing"),
    ],
)
async def test_an_invalid_request_gets_its_fault_named(
    momento: MomentoServer, http: aiohttp.ClientSession, path: str, complaint: str
) -> None:
    answer = await http.post(momento.admin_url + path)
    assert answer.status == 400
    assert complaint in await answer.text()


async def test_signing_secrets_can_be_read_and_rotated(
    momento: MomentoServer, http: aiohttp.ClientSession
) -> None:
    where = "?cache=cache&topic=topic"
    assert (await http.get(f"{momento.admin_url}/signing-secret{where}")).status == 404
    assert (await http.post(f"{momento.admin_url}/rotate-signing-secret{where}")).status == 404
    momento.add_webhook(WebhookSubscription("cache", "topic", "http://127.0.0.1:9/", "secret"))
    answer = await http.get(f"{momento.admin_url}/signing-secret{where}")
    assert await answer.json() == {"signing_secret": "secret"}
    rotated = await (await http.post(f"{momento.admin_url}/rotate-signing-secret{where}")).json()
    assert len(rotated["signing_secret"]) >= 32
    answer = await http.get(f"{momento.admin_url}/signing-secret{where}")
    assert await answer.json() == rotated
