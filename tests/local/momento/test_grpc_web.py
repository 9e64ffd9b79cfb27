"""gRPC-Web, as a browser speaks it."""

import asyncio
import base64
import struct
from collections.abc import Awaitable, Callable

import aiohttp
import pytest
from google.protobuf.message import Message
from momento_wire_types import cacheclient_pb2, cachepubsub_pb2
from yarl import URL

from local.momento.server import MomentoServer
from tests.support.momento_connections import Eventually, Rpcs

TEXT, BINARY = "application/grpc-web-text", "application/grpc-web+proto"
TRAILERS = 0x80


def framed(message: bytes, content_type: str = BINARY) -> bytes:
    frame = struct.pack(">BI", 0, len(message)) + message
    return base64.b64encode(frame) if content_type == TEXT else frame


class Frames:
    """Reads frames off a response as they come."""

    def __init__(self, response: aiohttp.ClientResponse, content_type: str) -> None:
        self._content = response.content
        self._is_text = content_type == TEXT
        self._bytes = b""

    async def _take(self, count: int) -> bytes:
        while len(self._bytes) < count:
            # Four characters of base64 stand alone: a browser decodes them as they come, too.
            part = await self._content.readexactly(4 if self._is_text else 1)
            self._bytes += base64.b64decode(part) if self._is_text else part
        taken, self._bytes = self._bytes[:count], self._bytes[count:]
        return taken

    async def next(self) -> tuple[int, bytes]:
        async with asyncio.timeout(3):
            flag, length = struct.unpack(">BI", await self._take(5))
            return flag, await self._take(length)

    async def trailers(self) -> dict[str, str]:
        flag, content = await self.next()
        assert flag == TRAILERS
        return dict(line.split(":", 1) for line in content.decode().splitlines())


Post = Callable[..., Awaitable[aiohttp.ClientResponse]]


@pytest.fixture
def post(momento: MomentoServer, http: aiohttp.ClientSession) -> Post:
    async def post(
        path: str, message: Message, content_type: str = TEXT, **headers: str
    ) -> aiohttp.ClientResponse:
        headers = {name.replace("_", "-"): value for name, value in headers.items()}
        return await http.post(
            f"{momento.web_url}/{path}",
            data=framed(message.SerializeToString(), content_type),
            headers={
                "Content-Type": content_type,
                "Origin": "http://web.example",
                "authorization": momento.api_key,
                "cache": "cache",
                **headers,
            },
        )

    return post


@pytest.mark.parametrize("content_type", [TEXT, BINARY])
async def test_a_unary_call_works(post: Post, content_type: str) -> None:
    value = bytes(range(256)) * 100
    request = cacheclient_pb2._SetRequest(cache_key=b"k", cache_body=value, ttl_milliseconds=10_000)
    response = await post("cache_client.Scs/Set", request, content_type)
    assert response.status == 200
    # The headers come before the call is done, the trailers after.
    await response.read()
    response = await post("cache_client.Scs/Get", cacheclient_pb2._GetRequest(cache_key=b"k"), content_type)
    assert response.content_type == content_type
    assert response.headers["Access-Control-Allow-Origin"] == "http://web.example"
    frames = Frames(response, content_type)
    flag, message = await frames.next()
    assert flag == 0
    assert cacheclient_pb2._GetResponse.FromString(message).cache_body == value
    assert (await frames.trailers())["grpc-status"] == "0"


@pytest.mark.parametrize("content_type", [TEXT, BINARY])
async def test_a_subscription_streams(post: Post, rpcs: Rpcs, content_type: str) -> None:
    request = cachepubsub_pb2._SubscriptionRequest(cache_name="cache", topic="topic")
    response = await post("cache_client.pubsub.Pubsub/Subscribe", request, content_type)
    frames = Frames(response, content_type)

    async def next_item() -> cachepubsub_pb2._SubscriptionItem:
        _, message = await frames.next()
        return cachepubsub_pb2._SubscriptionItem.FromString(message)

    assert (await next_item()).WhichOneof("kind") == "heartbeat"
    for text in ("a", "bb", "ccc"):
        await rpcs.Publish(
            cachepubsub_pb2._PublishRequest(cache_name="cache", topic="topic", value={"text": text})
        )
        assert (await next_item()).item.value.text == text


async def test_a_browser_that_leaves_ends_its_subscription(
    post: Post, momento: MomentoServer, eventually: Eventually
) -> None:
    request = cachepubsub_pb2._SubscriptionRequest(cache_name="cache", topic="topic")
    response = await post("cache_client.pubsub.Pubsub/Subscribe", request)
    await Frames(response, TEXT).next()
    topic = momento._topics.get("cache", "topic")
    assert topic.subscribers == 1
    response.close()
    await eventually(lambda: topic.subscribers == 0)


async def test_an_error_is_in_the_trailers(post: Post) -> None:
    get = cacheclient_pb2._GetRequest(cache_key=b"k")
    response = await post("cache_client.Scs/Get", get, cache="no-such-cache")
    trailers = await Frames(response, TEXT).trailers()
    assert trailers["grpc-status"] == "5"
    assert trailers["grpc-message"] == "Cache%20not%20found%3A%20no-such-cache"
    assert trailers["err"] == "cache_not_found"


@pytest.mark.parametrize(
    ("header", "status"), [("authorization", "16"), ("cache", "3"), ("request-id", "3"), ("error-rpcs", "3")]
)
@pytest.mark.parametrize("value", [b"\xe9", "\u00e9".encode(), b"a\tb"], ids=["latin-1", "utf-8", "tab"])
async def test_a_header_that_grpc_cannot_carry_is_an_error_in_the_trailers(
    momento: MomentoServer, header: str, status: str, value: bytes
) -> None:
    # Written by hand: clients refuse to send such bytes.
    url = URL(momento.web_url)
    body = framed(cacheclient_pb2._GetRequest(cache_key=b"k").SerializeToString())
    reader, writer = await asyncio.open_connection(url.host, url.port)
    writer.write(
        b"POST /cache_client.Scs/Get HTTP/1.1\r\nHost: momento\r\nConnection: close\r\n"
        b"Content-Type: application/grpc-web+proto\r\nContent-Length: %d\r\n" % len(body)
    )
    writer.write(header.encode() + b": " + value + b"\r\n\r\n" + body)
    async with asyncio.timeout(5):
        answer = await reader.read()
    writer.close()
    assert answer.startswith(b"HTTP/1.1 200 ")
    assert f"grpc-status:{status}\r\ngrpc-message:The%20header%20{header}%20must".encode() in answer


async def test_malformed_bytes_are_an_invalid_argument(
    momento: MomentoServer, http: aiohttp.ClientSession
) -> None:
    headers = {"Content-Type": BINARY, "authorization": momento.api_key, "cache": "cache"}
    for path in ("cache_client.Scs/Get", "cache_client.Scs/GetBatch", "token.Token/GenerateDisposableToken"):
        response = await http.post(f"{momento.web_url}/{path}", data=framed(b"\xff\xff"), headers=headers)
        assert (await Frames(response, BINARY).trailers())["grpc-status"] == "3"


@pytest.mark.parametrize("deadline", ["9" * 5000 + "H", "100000000m", "1", "x", "\u0661m"])
async def test_an_invalid_deadline_is_ignored(post: Post, deadline: str) -> None:
    get = cacheclient_pb2._GetRequest(cache_key=b"k")
    response = await post("cache_client.Scs/Get", get, grpc_timeout=deadline)
    assert (await Frames(response, TEXT).next())[0] == 0


async def test_credentials_are_checked_and_metadata_passed_on(post: Post) -> None:
    get = cacheclient_pb2._GetRequest(cache_key=b"k")
    response = await post("cache_client.Scs/Get", get, authorization="wrong")
    assert (await Frames(response, TEXT).trailers())["grpc-status"] == "16"
    response = await post(
        "cache_client.Scs/Get", get, request_id="1", error_rpcs="get", return_error="data-loss"
    )
    assert (await Frames(response, TEXT).trailers())["grpc-status"] == "15"


async def test_a_browsers_deadline_is_kept(post: Post) -> None:
    get = cacheclient_pb2._GetRequest(cache_key=b"k")
    response = await post(
        "cache_client.Scs/Get", get, request_id="1", delay_rpcs="get", delay_ms="3000", grpc_timeout="50m"
    )
    assert (await Frames(response, TEXT).trailers())["grpc-status"] == "4"


async def test_a_blocked_port_is_closed_to_browsers_too(
    post: Post, momento: MomentoServer, http: aiohttp.ClientSession
) -> None:
    request = cachepubsub_pb2._SubscriptionRequest(cache_name="cache", topic="topic")
    subscription = Frames(await post("cache_client.pubsub.Pubsub/Subscribe", request), TEXT)
    await subscription.next()
    web_url = momento.web_url
    await http.post(f"{momento.admin_url}/block")
    # Broken off, with no trailers that say why: browsers take those for an answer, and do not reconnect.
    with pytest.raises(aiohttp.ClientPayloadError):
        await subscription.next()
    get = cacheclient_pb2._GetRequest(cache_key=b"k")
    with pytest.raises(aiohttp.ClientConnectorError):
        await post("cache_client.Scs/Get", get)
    await http.post(f"{momento.admin_url}/unblock")
    assert momento.web_url == web_url
    response = await post("cache_client.Scs/Get", get)
    flag, _ = await Frames(response, TEXT).next()
    assert flag == 0


async def test_a_preflight_allows_what_it_asks_for(
    momento: MomentoServer, http: aiohttp.ClientSession
) -> None:
    response = await http.options(
        f"{momento.web_url}/cache_client.Scs/Get",
        headers={
            "Origin": "http://web.example",
            "Access-Control-Request-Method": "POST",
            "Access-Control-Request-Headers": "authorization,cache,x-grpc-web",
        },
    )
    assert response.status == 204
    assert response.headers["Access-Control-Allow-Origin"] == "http://web.example"
    assert response.headers["Access-Control-Allow-Headers"] == "authorization,cache,x-grpc-web"
    assert "POST" in response.headers["Access-Control-Allow-Methods"]


@pytest.mark.parametrize(
    ("method", "content_type", "body", "status"),
    [
        ("NoSuchCall", BINARY, framed(b""), 404),
        ("Get", "application/json", b"{}", 415),
        ("Get", BINARY, b"", 400),
        ("Get", BINARY, framed(b"abc")[:-1], 400),
        ("Get", TEXT, b"!!!", 400),
        ("Get", BINARY, bytes(9_000_000), 413),
    ],
)
async def test_only_grpc_web_calls_are_accepted(
    momento: MomentoServer, method: str, content_type: str, body: bytes, status: int
) -> None:
    url = f"{momento.web_url}/cache_client.Scs/{method}"
    async with aiohttp.ClientSession() as http:
        response = await http.post(url, data=body, headers={"Content-Type": content_type})
        assert response.status == status
        assert response.headers["Access-Control-Allow-Origin"] == "*"
