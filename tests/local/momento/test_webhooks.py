"""Webhooks, as a receiver on a real port sees them."""

import asyncio
import hashlib
import hmac
import json
import logging
import time
from contextlib import AsyncExitStack
from typing import Any

import aiohttp
import pytest
from aiohttp import web
from momento.auth.access_control.disposable_token_scopes import DisposableTokenScopes
from momento.responses import TopicPublish

from local.momento import webhooks
from local.momento.server import MomentoServer, MomentoServerConfig, Timings
from local.momento.topics import Message
from local.momento.webhooks import Delivery, WebhookSubscription
from tests.support.momento_connections import Connect, Connections, Eventually, StartMomento

SECRET = "signing-secret"


class Receiver:
    """Keeps the requests it gets, and answers each with what `answer` says."""

    def __init__(self) -> None:
        self.requests: asyncio.Queue[tuple[bytes, dict[str, str]]] = asyncio.Queue()
        self.url = ""
        self.status = 200
        self.delay_seconds = 0.0

    async def handle(self, request: web.Request) -> web.Response:
        assert request.method == "POST"
        self.requests.put_nowait((await request.read(), dict(request.headers)))
        await asyncio.sleep(self.delay_seconds)
        return web.Response(status=self.status, headers={"Location": "/elsewhere"})

    async def next(self) -> dict[str, Any]:
        event: dict[str, Any] = json.loads((await self.next_raw())[0])
        return event

    async def next_raw(self) -> tuple[bytes, dict[str, str]]:
        async with asyncio.timeout(3):
            return await self.requests.get()


@pytest.fixture
async def receiver(resources: AsyncExitStack) -> Receiver:
    receiver = Receiver()
    application = web.Application()
    application.router.add_route("*", "/{path:.*}", receiver.handle)
    runner = web.AppRunner(application, handler_cancellation=True)
    await runner.setup()
    resources.push_async_callback(runner.cleanup)
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    receiver.url = f"http://127.0.0.1:{runner.addresses[0][1]}/hook"
    return receiver


@pytest.fixture
async def momento(start_momento: StartMomento, receiver: Receiver) -> MomentoServer:
    webhook = WebhookSubscription("cache", "topic", receiver.url, SECRET)
    return await start_momento(webhooks=[webhook], timings=Timings(webhook_timeout=0.8))


@pytest.fixture
async def topics(connections: Connections) -> Any:
    return await connections.topics()


def outcomes(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.outcome for record in caplog.records if hasattr(record, "outcome")]


async def test_a_message_is_posted_signed(connections: Connections, receiver: Receiver) -> None:
    token = await connections.token(
        DisposableTokenScopes.topic_publish_only("cache", "topic"), token_id="taylor"
    )
    before = int(time.time() * 1000)
    text = '{"courseId": 123, "comment": "héllo\\n"}'
    await (await connections.topics(token)).publish("cache", "topic", text)
    body, headers = await receiver.next_raw()
    expected = hmac.new(SECRET.encode(), body, hashlib.sha3_256).hexdigest()
    assert headers["momento-signature"] == expected
    assert headers["User-Agent"] == "Momento/1.0 (Webhooks; +https://docs.momentohq.com/topics/webhooks)"
    assert headers["Content-Type"] == "application/json"
    event = json.loads(body)
    published_at, sent_at = event.pop("event_timestamp"), event.pop("publish_timestamp")
    assert before <= published_at <= sent_at <= time.time() * 1000
    assert event == {
        "cache": "cache",
        "topic": "topic",
        "topic_sequence_number": 1,
        "token_id": "taylor",
        "text": text,
    }


async def test_a_key_has_no_token_id_and_sequence_numbers_count_up(topics: Any, receiver: Receiver) -> None:
    for number in (1, 2, 3):
        await topics.publish("cache", "topic", "text")
        event = await receiver.next()
        assert (event["token_id"], event["topic_sequence_number"]) == ("", number)


async def test_subscribers_get_the_message_as_well(topics: Any, receiver: Receiver) -> None:
    subscription = await topics.subscribe("cache", "topic")
    await topics.publish("cache", "topic", "text")
    assert (await anext(subscription)).value == "text"
    assert (await receiver.next())["text"] == "text"


async def test_only_text_of_its_own_topic_is_posted(
    topics: Any, receiver: Receiver, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    await topics.publish("cache", "other", "other")
    await topics.publish("cache", "topic", b"binary")
    await topics.publish("cache", "topic", "text")
    assert (await receiver.next())["text"] == "text"
    assert receiver.requests.empty()
    assert outcomes(caplog)[0] == "not sent: binary"


@pytest.mark.parametrize("status", [500, 503, 404, 403, 302])
async def test_a_refused_message_is_lost_after_one_attempt(
    topics: Any, receiver: Receiver, caplog: pytest.LogCaptureFixture, eventually: Eventually, status: int
) -> None:
    receiver.status = status
    await topics.publish("cache", "topic", "a secret remark")
    await receiver.next()
    await eventually(lambda: outcomes(caplog))
    receiver.status = 200
    await topics.publish("cache", "topic", "next")
    assert (await receiver.next())["text"] == "next"
    assert receiver.requests.empty()
    assert outcomes(caplog) == [f"lost: {status}"]
    assert "a secret remark" not in caplog.text
    assert SECRET not in caplog.text


async def test_an_answer_that_comes_too_late_is_lost_and_delays_nobody(
    topics: Any, receiver: Receiver, caplog: pytest.LogCaptureFixture, eventually: Eventually
) -> None:
    receiver.delay_seconds = 10
    began = time.monotonic()
    assert isinstance(await topics.publish("cache", "topic", "slow"), TopicPublish.Success)
    await receiver.next()
    receiver.delay_seconds = 0
    await topics.publish("cache", "topic", "quick")
    assert (await receiver.next())["text"] == "quick"
    assert time.monotonic() - began < 0.8
    await eventually(lambda: outcomes(caplog))
    assert 0.8 <= time.monotonic() - began < 3
    assert outcomes(caplog) == ["lost: no answer in 0.8 s"]


async def test_the_receiver_has_five_seconds_as_momento_gives_it() -> None:
    assert Timings().webhook_timeout == 5


async def test_a_message_for_an_absent_receiver_is_lost(
    momento: MomentoServer, topics: Any, caplog: pytest.LogCaptureFixture, eventually: Eventually
) -> None:
    momento.add_webhook(WebhookSubscription("cache", "nowhere", "http://127.0.0.1:1/", SECRET))
    assert isinstance(await topics.publish("cache", "nowhere", "text"), TopicPublish.Success)
    await eventually(lambda: outcomes(caplog))
    assert outcomes(caplog) == ["lost: ClientConnectorError"]


async def test_deliveries_are_logged(
    topics: Any, receiver: Receiver, caplog: pytest.LogCaptureFixture, eventually: Eventually
) -> None:
    caplog.set_level(logging.INFO, logger="local.momento.webhooks")
    await topics.publish("cache", "topic", "text")
    await receiver.next()
    await eventually(lambda: outcomes(caplog))
    record: Any = next(record for record in caplog.records if hasattr(record, "outcome"))
    assert (record.cache, record.topic, record.sequence_number) == ("cache", "topic", 1)
    assert (record.url, record.outcome, record.levelname) == (receiver.url, "200", "INFO")
    assert record.milliseconds >= 0


async def test_listeners_are_told_of_every_delivery(
    start_momento: StartMomento, connect: Connect, receiver: Receiver, eventually: Eventually
) -> None:
    told: list[Delivery] = []
    webhook = WebhookSubscription("cache", "topic", receiver.url, SECRET)
    topics = await connect(await start_momento(webhooks=[webhook], on_delivery=told.append)).topics()
    await topics.publish("cache", "topic", b"binary")
    await topics.publish("cache", "topic", "text")
    await eventually(lambda: len(told) == 2)
    assert told[0] == Delivery(webhook, "", "not sent: binary", 0)
    assert told[1] == Delivery(webhook, "text", "200", told[1].milliseconds)
    receiver.status = 500
    await topics.publish("cache", "topic", "unlucky")
    await eventually(lambda: len(told) == 3)
    assert (told[2].text, told[2].outcome) == ("unlucky", "lost: 500")


async def test_a_listener_that_fails_harms_no_delivery(
    start_momento: StartMomento,
    connect: Connect,
    receiver: Receiver,
    caplog: pytest.LogCaptureFixture,
    eventually: Eventually,
) -> None:
    def fail(_: Delivery) -> None:
        raise RuntimeError("the display is broken")

    webhook = WebhookSubscription("cache", "topic", receiver.url, SECRET)
    topics = await connect(await start_momento(webhooks=[webhook], on_delivery=fail)).topics()
    for value in (b"binary", "one", "two"):
        assert isinstance(await topics.publish("cache", "topic", value), TopicPublish.Success)
    assert {(await receiver.next())["text"] for _ in range(2)} == {"one", "two"}
    await eventually(lambda: caplog.text.count("callback for webhook deliveries failed") == 3)


async def test_a_receiver_that_closes_idle_connections_loses_nothing(
    start_momento: StartMomento, connect: Connect, resources: AsyncExitStack, eventually: Eventually
) -> None:
    async def answer_one_request(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        # The connection is said to stay open, and is closed as soon as somebody sends more on it.
        await reader.readuntil(b"}")
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
        await reader.read(1)
        writer.close()

    server = await asyncio.start_server(answer_one_request, "127.0.0.1", 0)
    resources.callback(server.close)
    told: list[Delivery] = []
    url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/"
    webhook = WebhookSubscription("cache", "topic", url, SECRET)
    topics = await connect(await start_momento(webhooks=[webhook], on_delivery=told.append)).topics()
    for number in range(3):
        await topics.publish("cache", "topic", str(number))
        await eventually(lambda count=number + 1: len(told) == count)
    assert [delivery.outcome for delivery in told] == ["200"] * 3


async def test_event_and_publish_timestamp_are_when_it_was_published_and_when_it_was_posted(
    momento: MomentoServer, receiver: Receiver
) -> None:
    before = int(time.time() * 1000)
    momento._webhooks.deliver("cache", "topic", Message(1, 1, "text", "", published_at=12345))
    event = await receiver.next()
    assert event["event_timestamp"] == 12345
    assert before <= event["publish_timestamp"] <= time.time() * 1000


async def test_deliveries_beyond_the_rate_limit_are_lost(
    start_momento: StartMomento, receiver: Receiver
) -> None:
    told: list[Delivery] = []
    webhook = WebhookSubscription("cache", "topic", receiver.url, SECRET)
    momento = await start_momento(webhooks=[webhook], rate_limits=True, on_delivery=told.append)
    for number in range(11):
        momento._webhooks.deliver("cache", "topic", Message(number, 1, str(number), "", 0))
    assert told == [Delivery(webhook, "10", "lost: rate limit", 0)]


async def test_deliveries_beyond_the_concurrency_limit_are_lost(
    start_momento: StartMomento, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(webhooks, "_MAX_CONCURRENT_DELIVERIES", 2)
    told: list[Delivery] = []
    webhook = WebhookSubscription("cache", "topic", receiver.url, SECRET)
    momento = await start_momento(webhooks=[webhook], on_delivery=told.append)
    for number in range(3):
        momento._webhooks.deliver("cache", "topic", Message(number, 1, str(number), "", 0))
    assert told == [Delivery(webhook, "2", "lost: 2 deliveries are running", 0)]
    assert {(await receiver.next())["text"] for _ in range(2)} == {"0", "1"}


async def test_deliveries_run_concurrently(topics: Any, receiver: Receiver) -> None:
    receiver.delay_seconds = 0.3
    began = time.monotonic()
    await asyncio.gather(*(topics.publish("cache", "topic", str(number)) for number in range(50)))
    texts = {(await receiver.next())["text"] for _ in range(50)}
    assert texts == {str(number) for number in range(50)}
    assert time.monotonic() - began < 3


async def test_a_webhook_added_later_creates_its_cache(
    start_momento: StartMomento, connect: Connect, receiver: Receiver
) -> None:
    momento = await start_momento(caches=[])
    momento.add_webhook(WebhookSubscription("new-cache", "topic", receiver.url, SECRET))
    await (await connect(momento).topics()).publish("new-cache", "topic", "text")
    assert (await receiver.next())["cache"] == "new-cache"


async def test_a_rotated_secret_signs_the_next_message(
    momento: MomentoServer, topics: Any, receiver: Receiver, http: aiohttp.ClientSession
) -> None:
    answer = await http.post(f"{momento.admin_url}/rotate-signing-secret?cache=cache&topic=topic")
    secret = (await answer.json())["signing_secret"]
    assert secret != SECRET
    await topics.publish("cache", "topic", "text")
    body, headers = await receiver.next_raw()
    assert headers["momento-signature"] == hmac.new(secret.encode(), body, hashlib.sha3_256).hexdigest()


async def test_stopping_gives_up_deliveries_in_flight(receiver: Receiver) -> None:
    receiver.delay_seconds = 10
    webhook = WebhookSubscription("cache", "topic", receiver.url, SECRET)
    began = time.monotonic()
    async with MomentoServer(MomentoServerConfig(webhooks=[webhook])) as momento:
        topic = momento._topics.get("cache", "topic")
        momento._webhooks.deliver("cache", "topic", topic.publish("text", ""))
        await receiver.next()
    assert time.monotonic() - began < 2


@pytest.mark.parametrize(
    "text",
    [
        "",
        "cache=http://h/",
        "cache/=http://h/",
        "/topic=http://h/",
        "c/t",
        "c/t=ftp://h/",
        "c/t=http://",
        "c/t=http://h:99999/",
        "c/t=http://h:x/",
        "c/t=http://[h/",
    ],
)
async def test_a_malformed_webhook_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="CACHE/TOPIC=URL"):
        WebhookSubscription.parse(text, SECRET)


async def test_a_webhooks_url_and_topic_may_contain_separators() -> None:
    webhook = WebhookSubscription.parse("c/a/b=http://h/?x=1", SECRET)
    assert webhook == WebhookSubscription("c", "a/b", "http://h/?x=1", SECRET)
