"""Momento's HTTP API for topics, as curl uses it."""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any

import aiohttp
import pytest
from momento.auth.access_control.disposable_token_scopes import DisposableTokenScopes
from momento.utilities import ExpiresIn

from local.momento.server import MomentoServer
from tests.support.momento_connections import Connections, Eventually

Items = list[dict[str, Any]]
Publish = Callable[..., Awaitable[int]]
Poll = Callable[..., Coroutine[Any, Any, Items]]


@pytest.fixture
def url(momento: MomentoServer) -> str:
    return f"{momento.web_url}/topics/cache/topic"


@pytest.fixture
def super_user(momento: MomentoServer) -> dict[str, str]:
    return {"Authorization": momento.api_key}


@pytest.fixture
def publish(http: aiohttp.ClientSession, url: str, super_user: dict[str, str]) -> Publish:
    async def publish(
        body: str | bytes, content_type: str = "text/plain", headers: dict[str, str] = super_user
    ) -> int:
        response = await http.post(url, data=body, headers={"Content-Type": content_type, **headers})
        assert (await response.read() == b"") is response.ok
        return response.status

    return publish


@pytest.fixture
def poll(http: aiohttp.ClientSession, url: str, super_user: dict[str, str]) -> Poll:
    async def poll(
        sequence_number: int = 0, sequence_page: int = 0, headers: dict[str, str] = super_user
    ) -> Items:
        query = {"sequence_number": str(sequence_number), "sequence_page": str(sequence_page)}
        async with asyncio.timeout(5):
            response = await http.get(url, params=query, headers=headers)
            assert response.status == 200, await response.text()
            items: Items = (await response.json())["items"]
            return items

    return poll


@pytest.fixture
async def waiting_poll(momento: MomentoServer, poll: Poll, eventually: Eventually) -> asyncio.Task[Items]:
    """Return a poll that waits for the next message."""
    polling = asyncio.create_task(poll())
    await eventually(lambda: momento._topics.get("cache", "topic").subscribers == 1)
    return polling


async def test_a_poll_waits_for_a_message(
    publish: Publish, waiting_poll: asyncio.Task[Items], momento: MomentoServer, eventually: Eventually
) -> None:
    assert await publish("héllo") == 204
    topic = momento._topics.get("cache", "topic")
    assert await waiting_poll == [
        {
            "item": {
                "topic_sequence_number": 1,
                "sequence_page": topic.sequence_page,
                "value": {"text": "héllo"},
            }
        }
    ]
    await eventually(lambda: topic.subscribers == 0)


async def test_a_poll_goes_on_where_the_last_one_has_ended(publish: Publish, poll: Poll) -> None:
    for text in ("one", "two", "three"):
        await publish(text)
    items = [item["item"] for item in await poll(2)]
    assert [item["value"]["text"] for item in items] == ["two", "three"]
    await publish("four")
    last = items[-1]
    [item] = await poll(last["topic_sequence_number"] + 1, last["sequence_page"])
    assert item["item"]["value"] == {"text": "four"}


async def test_a_poll_without_a_number_begins_with_the_latest_message(
    http: aiohttp.ClientSession, url: str, super_user: dict[str, str], publish: Publish, poll: Poll
) -> None:
    for text in ("one", "two"):
        await publish(text)
    assert [item["item"]["value"]["text"] for item in await poll(0)] == ["two"]
    response = await http.get(url, headers=super_user)
    assert [item["item"]["value"]["text"] for item in (await response.json())["items"]] == ["two"]


async def test_a_body_with_a_wrong_content_encoding_is_refused(
    http: aiohttp.ClientSession, url: str, super_user: dict[str, str]
) -> None:
    headers = {**super_user, "Content-Encoding": "gzip"}
    response = await http.post(url, data=b"no gzip", headers=headers)
    assert (response.status, await response.text()) == (400, "The body cannot be read")
    assert response.headers["Access-Control-Allow-Origin"] == "*"


async def test_missing_messages_are_reported(publish: Publish, poll: Poll, momento: MomentoServer) -> None:
    await publish("before")
    topic = momento._topics.get("cache", "topic")
    old_page = topic.sequence_page
    topic.reset()
    await publish("after")
    gap, item = await poll(2, old_page)
    assert gap == {
        "discontinuity": {
            "last_topic_sequence": 1,
            "new_topic_sequence": 0,
            "new_sequence_page": topic.sequence_page,
        }
    }
    assert item["item"]["value"] == {"text": "after"}


@pytest.mark.parametrize(
    ("content_type", "value"),
    [
        ("text/plain; charset=utf-8", {"text": "a"}),
        ("application/x-www-form-urlencoded", {"text": "a"}),
        ("application/octet-stream", {"binary": "YQ=="}),
    ],
)
async def test_the_content_type_says_what_a_message_is(
    publish: Publish, poll: Poll, content_type: str, value: dict[str, str]
) -> None:
    assert await publish(b"a", content_type) == 204
    [item] = await poll(1)
    assert item["item"]["value"] == value


async def test_an_item_has_the_token_id_of_its_publisher(
    publish: Publish, poll: Poll, connections: Connections
) -> None:
    scope = DisposableTokenScopes.topic_publish_only("cache", "topic")
    token = await connections.token(scope, token_id="taylor")
    assert await publish("hello", headers={"Authorization": token}) == 204
    [item] = await poll(1)
    assert item["item"]["publisher_id"] == "taylor"


async def test_a_token_may_be_in_the_query_but_not_twice(
    http: aiohttp.ClientSession, url: str, momento: MomentoServer, super_user: dict[str, str]
) -> None:
    assert (await http.post(url, data="a", params={"token": momento.api_key})).status == 204
    response = await http.post(url, data="a", params={"token": momento.api_key}, headers=super_user)
    assert response.status == 400
    assert "Only one token" in (await response.json())["description"]


@pytest.mark.parametrize("method", ["GET", "POST"])
async def test_a_caller_without_permission_is_refused(
    http: aiohttp.ClientSession, url: str, momento: MomentoServer, connections: Connections, method: str
) -> None:
    reads_a_list = await connections.token(DisposableTokenScopes.cache_key_read_only("cache", "list"))
    for token, status, complaint in (
        ("", 401, "credentials"),
        ("wrong", 401, "credentials"),
        ("\x07", 401, "credentials"),
        (reads_a_list, 403, "no "),
    ):
        response = await http.request(method, url, params={"token": token})
        answer = await response.json()
        assert (response.status, answer["status"]) == (status, status)
        assert complaint in answer["description"]
    elsewhere = f"{momento.web_url}/topics/no-such-cache/topic"
    response = await http.request(method, elsewhere, params={"token": momento.api_key})
    assert response.status == 404
    assert await response.json() == {"status": 404, "description": "Cache not found: no-such-cache"}


async def test_a_poll_ends_with_its_token(
    http: aiohttp.ClientSession, url: str, connections: Connections
) -> None:
    scope = DisposableTokenScopes.topic_subscribe_only("cache", "topic")
    token = await connections.token(scope, ExpiresIn.seconds(1))
    async with asyncio.timeout(5):
        response = await http.get(url, headers={"Authorization": token})
        assert response.status == 401


async def test_a_poll_that_is_given_up_ends_its_subscription(
    waiting_poll: asyncio.Task[Items], momento: MomentoServer, eventually: Eventually
) -> None:
    waiting_poll.cancel()
    await eventually(lambda: momento._topics.get("cache", "topic").subscribers == 0)


async def test_a_message_that_cannot_be_published_is_refused(publish: Publish) -> None:
    assert await publish(b"\xff") == 400
    assert await publish("x" * 4097) == 429
    assert await publish("x" * 4096) == 204


@pytest.mark.parametrize(
    "query",
    [
        {"sequence_number": "x"},
        {"sequence_number": ""},
        {"sequence_number": "\u0661"},
        {"sequence_number": "9" * 30},
        {"sequence_page": "-1"},
        {"sequence_page": "9" * 5000},
    ],
)
async def test_an_invalid_number_is_refused(
    http: aiohttp.ClientSession, url: str, super_user: dict[str, str], query: dict[str, str]
) -> None:
    response = await http.get(url, params=query, headers=super_user)
    assert response.status == 400


async def test_faults_apply_to_http_too(
    http: aiohttp.ClientSession, momento: MomentoServer, publish: Publish
) -> None:
    await http.post(f"{momento.admin_url}/fail?rpcs=topic-publish&error=unavailable&count=1")
    assert await publish("a") == 500
    assert await publish("a") == 204


async def test_the_names_in_the_path_may_be_encoded(
    http: aiohttp.ClientSession, momento: MomentoServer, super_user: dict[str, str]
) -> None:
    path = f"{momento.web_url}/topics/cache/a%2Fb%20c"
    assert (await http.post(path, data="a", headers=super_user)).status == 204
    assert momento._topics.get("cache", "a/b c").next_sequence_number == 2


async def test_a_page_of_another_origin_may_publish_and_poll(
    http: aiohttp.ClientSession, url: str, super_user: dict[str, str]
) -> None:
    origin = {"Origin": "http://web.example"}
    response = await http.options(
        url,
        headers={
            **origin,
            "Access-Control-Request-Method": "POST",
            "Access-Control-Request-Headers": "authorization,content-type",
        },
    )
    assert response.status == 204
    assert response.headers["Access-Control-Allow-Headers"] == "authorization,content-type"
    for headers in ({**origin, **super_user}, origin):
        response = await http.post(url, data="a", headers=headers)
        assert response.headers["Access-Control-Allow-Origin"] == "http://web.example"
