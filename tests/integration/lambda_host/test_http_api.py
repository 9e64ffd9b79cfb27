"""The HTTP API in front of the functions: events, answers, CORS, throttling."""

import asyncio
import base64
import json
import time
from typing import Any

import aiohttp
import pytest

from local.lambda_host.host import LambdaHost
from local.lambda_host.limits import MAX_PAYLOAD_BYTES
from tests.integration.lambda_host.conftest import Issuer

ORIGIN = "http://localhost:5173"


async def _respond_with(
    host: LambdaHost, http: aiohttp.ClientSession, query: dict[str, str]
) -> tuple[aiohttp.ClientResponse, bytes]:
    """Let the function answer an HTTP request as the query says."""
    async with http.post(f"{host.http_api_url}/respond", params=query) as response:
        return response, await response.read()


async def test_a_request_becomes_an_event_of_payload_format_2(
    host: LambdaHost, http: aiohttp.ClientSession, issuer: Issuer
) -> None:
    token = issuer.token(sub="taylor", admin=True, groups=["a", "b"], **{"cognito:username": "taylor"})
    headers = [
        ("Authorization", f"Bearer {token}"),
        ("Content-Type", "application/json"),
        ("User-Agent", "test/1"),
        ("X-Forwarded-For", "192.0.2.1"),
        ("X-Twice", "one"),
        ("X-Twice", "two"),
        ("Cookie", "a=1; b=2"),
    ]
    url = f"{host.http_api_url}/token?q=1&q=2&text=a%20b"
    async with http.post(url, headers=headers, data='{"courseIds": ["ü"]}') as response:
        assert response.status == 200
        event = (await response.json())["event"]

    context = event["requestContext"]
    assert event["version"] == "2.0"
    assert event["routeKey"] == context["routeKey"] == "POST /token"
    assert event["rawPath"] == "/token"
    assert event["rawQueryString"] == "q=1&q=2&text=a%20b"
    assert event["queryStringParameters"] == {"q": "1,2", "text": "a b"}
    assert event["cookies"] == ["a=1", "b=2"]
    assert event["body"] == '{"courseIds": ["ü"]}'
    assert event["isBase64Encoded"] is False
    assert event["headers"]["x-twice"] == "one,two"
    assert event["headers"]["authorization"] == f"Bearer {token}"
    assert event["headers"]["x-forwarded-for"] == "127.0.0.1"
    assert "cookie" not in event["headers"]
    assert context["accountId"] == "123456789012"
    assert context["stage"] == "$default"
    assert context["domainName"] == "127.0.0.1"
    assert context["http"] == {
        "method": "POST",
        "path": "/token",
        "protocol": "HTTP/1.1",
        "sourceIp": "127.0.0.1",
        "userAgent": "test/1",
    }
    assert abs(context["timeEpoch"] / 1000 - time.time()) < 60
    assert time.strptime(context["time"], "%d/%b/%Y:%H:%M:%S +0000")
    claims = context["authorizer"]["jwt"]["claims"]
    assert context["authorizer"]["jwt"]["scopes"] is None
    assert claims["cognito:username"] == "taylor"
    assert (claims["admin"], claims["groups"]) == ("true", "[a b]")
    assert claims["exp"].isdigit()


async def test_a_request_without_body_or_query_has_none_in_its_event(
    host: LambdaHost, http: aiohttp.ClientSession
) -> None:
    async with http.get(f"{host.http_api_url}/open") as response:
        event = (await response.json())["event"]
    assert event["isBase64Encoded"] is False
    assert not {"body", "cookies", "queryStringParameters"} & set(event)
    assert "authorizer" not in event["requestContext"]


@pytest.mark.parametrize(
    ("method", "path"), [("GET", "/token"), ("POST", "/token/"), ("POST", "/"), ("PUT", "/open")]
)
async def test_an_unknown_route_is_not_found(
    host: LambdaHost, http: aiohttp.ClientSession, method: str, path: str
) -> None:
    async with http.request(method, host.http_api_url + path) as response:
        assert response.status == 404
        assert await response.json() == {"message": "Not Found"}


async def test_a_response_is_what_the_function_says(host: LambdaHost, http: aiohttp.ClientSession) -> None:
    answer = {
        "statusCode": 201,
        "headers": {"Content-Type": "text/plain", "X-Number": 5, "Content-Length": "999"},
        "cookies": ["a=1; Path=/", "b=2"],
        "body": base64.b64encode(b"\xff\x00").decode(),
        "isBase64Encoded": True,
    }
    response, body = await _respond_with(host, http, {"answer": json.dumps(answer)})
    assert response.status == 201
    assert response.content_type == "text/plain"
    assert response.headers["X-Number"] == "5"
    assert response.headers.getall("Set-Cookie") == ["a=1; Path=/", "b=2"]
    assert body == b"\xff\x00"


@pytest.mark.parametrize("answer", [{"hello": "world"}, "text", ["a", 1], None, 5])
async def test_anything_without_a_status_is_the_body_of_a_200(
    host: LambdaHost, http: aiohttp.ClientSession, answer: Any
) -> None:
    response, body = await _respond_with(host, http, {"answer": json.dumps(answer)})
    assert response.status == 200
    assert response.content_type == "application/json"
    assert json.loads(body) == answer


@pytest.mark.parametrize(
    "query",
    [
        {"raise": "a reason"},
        {"answer": '{"statusCode": "twohundred"}'},
        {"answer": '{"statusCode": true}'},
        {"answer": '{"statusCode": 101}'},
        {"answer": '{"statusCode": 600}'},
        {"answer": '{"statusCode": 200, "headers": ["a"]}'},
        {"answer": '{"statusCode": 200, "body": {"not": "text"}}'},
        {"answer": '{"statusCode": 200, "body": "no base64!", "isBase64Encoded": true}'},
        {"answer": r'{"statusCode": 200, "body": "\ud800"}'},
        {"answer": r'{"statusCode": 200, "headers": {"X-Odd": "a\r\nX-More: b"}}'},
        {"answer": r'{"statusCode": 200, "headers": {"X-Odd": "\ud800"}}'},
        {"answer": r'{"statusCode": 200, "headers": {"X-Odd\n": "a"}}'},
        {"answer": '{"statusCode": 200, "headers": {"": "a"}}'},
        {"answer": '{"statusCode": 200, "headers": {"X Odd": "a"}}'},
        {"answer": r'{"statusCode": 200, "cookies": ["a=1\u0000"]}'},
    ],
)
async def test_a_failing_function_is_an_error_without_detail(
    host: LambdaHost, http: aiohttp.ClientSession, query: dict[str, str]
) -> None:
    response, body = await _respond_with(host, http, query)
    assert response.status == 500
    assert json.loads(body) == {"message": "Internal Server Error"}


async def test_a_body_that_is_no_event_any_more_is_too_large(
    host: LambdaHost, http: aiohttp.ClientSession
) -> None:
    for size in (MAX_PAYLOAD_BYTES - 100, MAX_PAYLOAD_BYTES + 1):
        async with http.post(f"{host.http_api_url}/respond", data=b"x" * size) as response:
            assert response.status == 413
            assert await response.json() == {"message": "Request Entity Too Large"}


async def test_a_route_is_throttled_as_declared(host: LambdaHost, http: aiohttp.ClientSession) -> None:
    statuses = []
    for _ in range(4):
        async with http.get(f"{host.http_api_url}/throttled") as response:
            statuses.append(response.status)
            answer = await response.json()
    assert statuses == [200, 200, 429, 429]
    assert answer == {"message": "Too Many Requests"}


async def test_a_throttled_route_takes_requests_again(host: LambdaHost, http: aiohttp.ClientSession) -> None:
    for _ in range(2):
        async with http.get(f"{host.http_api_url}/refilled") as response:
            assert response.status == 200
        await asyncio.sleep(0.2)


async def test_a_preflight_is_answered_without_authorizer_or_function(
    host: LambdaHost, http: aiohttp.ClientSession
) -> None:
    headers = {"Origin": ORIGIN, "Access-Control-Request-Method": "POST"}
    async with http.options(f"{host.http_api_url}/token", headers=headers) as response:
        assert response.status == 204
        assert response.headers["Access-Control-Allow-Origin"] == ORIGIN
        assert response.headers["Access-Control-Allow-Methods"] == "POST"
        assert response.headers["Access-Control-Allow-Headers"] == "authorization,content-type"
        assert response.headers["Access-Control-Max-Age"] == "3600"


async def test_an_origin_that_is_not_allowed_is_told_nothing(
    host: LambdaHost, http: aiohttp.ClientSession
) -> None:
    for method in ("OPTIONS", "POST"):
        headers = {"Origin": "http://localhost:5173.evil.test"}
        async with http.request(method, f"{host.http_api_url}/token", headers=headers) as response:
            assert not [name for name in response.headers if name.lower().startswith("access-control-")]


async def test_all_origins_of_a_scheme_may_be_allowed(host: LambdaHost, http: aiohttp.ClientSession) -> None:
    for origin in ("https://one.test", "https://two.test"):
        async with http.options(f"{host.http_api_url}/token", headers={"Origin": origin}) as response:
            assert response.headers["Access-Control-Allow-Origin"] == origin


async def test_answers_carry_the_headers_of_the_api_and_not_the_functions(
    host: LambdaHost, http: aiohttp.ClientSession
) -> None:
    answer = {
        "statusCode": 200,
        "headers": {"Access-Control-Allow-Origin": "*", "access-control-max-age": "1"},
    }
    url, query = f"{host.http_api_url}/respond", {"answer": json.dumps(answer)}
    async with http.post(url, params=query, headers={"Origin": ORIGIN}) as response:
        assert response.headers.getall("Access-Control-Allow-Origin") == [ORIGIN]
        assert response.headers["Access-Control-Expose-Headers"] == "retry-after"
        assert response.headers["Access-Control-Allow-Credentials"] == "true"
        # A shared cache must not give the answer to a page of another origin.
        assert response.headers["Vary"] == "Origin"
        assert "Access-Control-Max-Age" not in response.headers
    async with http.post(f"{host.http_api_url}/token", headers={"Origin": ORIGIN}) as response:
        assert response.status == 401
        assert response.headers["Access-Control-Allow-Origin"] == ORIGIN
