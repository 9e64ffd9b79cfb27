"""The function URL: events with the body as it was sent, and the function's answers."""

import asyncio
import base64
import gzip
import json
from typing import Any
from urllib.parse import urlsplit

import aiohttp
import pytest

from local.lambda_host.host import AnsweredRequest, LambdaHost
from local.lambda_host.limits import MAX_PAYLOAD_BYTES
from tests.support.lambda_host import HostFactory


async def _event(
    host: LambdaHost, http: aiohttp.ClientSession, body: bytes, headers: dict[str, str], path: str = "/"
) -> dict[str, Any]:
    async with http.post(host.function_url + path, data=body, headers=headers) as response:
        assert response.status == 200
        event: dict[str, Any] = (await response.json())["event"]
        return event


async def test_any_method_and_path_become_an_event(host: LambdaHost, http: aiohttp.ClientSession) -> None:
    for method in ("GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"):
        async with http.request(method, f"{host.function_url}/any/p%C3%A4th?x=1") as response:
            assert response.status == 200
            event = (await response.json())["event"]
        assert event["routeKey"] == event["requestContext"]["routeKey"] == "$default"
        assert event["requestContext"]["http"]["method"] == method
        assert event["requestContext"]["accountId"] == "anonymous"
        assert event["rawPath"] == "/any/p%C3%A4th"
        assert event["queryStringParameters"] == {"x": "1"}
        assert "authorizer" not in event["requestContext"]


@pytest.mark.parametrize(
    ("content_type", "body", "text"),
    [
        ("application/json", b'{"a": "\xc3\xa4"}', True),
        ("application/json; charset=utf-8", b"not json", True),
        ("APPLICATION/JSON", b"{}", True),
        ("application/problem+json", b"{}", True),
        ("application/xml", b"<a/>", True),
        ("application/javascript", b"1", True),
        ("text/plain", b"text\r\n", True),
        ("application/json", b"\xff\xfe", False),
        ("application/octet-stream", b"text", False),
        ("application/x-www-form-urlencoded", b"a=1", False),
        ("image/png", b"\x89PNG", False),
    ],
)
async def test_the_type_of_a_body_decides_between_text_and_base64(
    host: LambdaHost, http: aiohttp.ClientSession, content_type: str, body: bytes, text: bool
) -> None:
    event = await _event(host, http, body, {"Content-Type": content_type})
    assert event["isBase64Encoded"] is not text
    received = event["body"].encode() if text else base64.b64decode(event["body"])
    assert received == body


async def test_a_body_arrives_as_it_was_sent_even_if_compressed(
    host: LambdaHost, http: aiohttp.ClientSession
) -> None:
    body = gzip.compress(b'{"a": 1}')
    headers = {"Content-Type": "application/json", "Content-Encoding": "gzip"}
    event = await _event(host, http, body, headers)
    assert base64.b64decode(event["body"]) == body


async def test_odd_headers_are_accepted(host: LambdaHost) -> None:
    address = urlsplit(host.function_url)
    reader, writer = await asyncio.open_connection(address.hostname, address.port)
    writer.write(b"GET / HTTP/1.1\r\nHost: \xff:x\r\nX-Odd: a\xffb\r\nConnection: close\r\n\r\n")
    head, _, body = (await reader.read()).partition(b"\r\n\r\n")
    writer.close()
    await writer.wait_closed()
    assert head.startswith(b"HTTP/1.1 200 ")
    event = json.loads(body)["event"]
    assert event["headers"]["x-odd"] == "a\ufffdb"
    assert event["requestContext"]["domainName"] == "\ufffd"


async def test_answers_with_the_result_of_the_function(host: LambdaHost, http: aiohttp.ClientSession) -> None:
    answer = '{"statusCode": 403, "headers": {"Content-Type": "application/json"}, "body": "{\\"a\\": 1}"}'
    async with http.post(host.function_url, params={"answer": answer}) as response:
        assert response.status == 403
        assert await response.json() == {"a": 1}


@pytest.mark.parametrize("query", [{"raise": "a reason"}, {"answer": '{"statusCode": "none"}'}])
async def test_a_failing_function_is_a_bad_gateway(
    host: LambdaHost, http: aiohttp.ClientSession, query: dict[str, str]
) -> None:
    async with http.post(host.function_url, params=query) as response:
        assert response.status == 502
        assert await response.text() == "Internal Server Error"


async def test_a_body_over_the_limit_is_refused(host: LambdaHost, http: aiohttp.ClientSession) -> None:
    body = json.dumps("x" * MAX_PAYLOAD_BYTES).encode()
    headers = {"Content-Type": "application/json"}
    async with http.post(host.function_url, data=body, headers=headers) as response:
        assert response.status == 413


async def test_every_request_is_reported(
    start_host: HostFactory, http: aiohttp.ClientSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    reported: list[AnsweredRequest] = []
    async with start_host(on_request=reported.append) as host:
        async with http.get(f"{host.function_url}/fine") as response:
            assert response.status == 200
        async with http.get(f"{host.invoke_url}/nowhere") as response:
            assert response.status == 404
        monkeypatch.setattr("local.lambda_host.function_url.answer_with", None)
        async with http.get(f"{host.function_url}/broken") as response:
            assert response.status == 500
    assert [(one.server, one.path, one.status) for one in reported] == [
        ("function URL", "/fine", 200),
        ("Invoke", "/nowhere", 404),
        ("function URL", "/broken", 500),
    ]
