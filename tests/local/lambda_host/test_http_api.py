"""The HTTP API in front of the functions: events, answers, CORS, throttling."""

import asyncio
import base64
import json
import time
from typing import Any

import aiohttp
import pytest
from yarl import URL

from local.lambda_host.host import LambdaHost
from local.lambda_host.limits import MAX_PAYLOAD_BYTES
from tests.support.jwt_issuer import Issuer

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


@pytest.mark.parametrize(
    ("claim", "text"),
    [
        ("text", "text"),
        ("", ""),
        (5, "5"),
        (-1.5, "-1.5"),
        (1e30, "1e+30"),
        (True, "true"),
        (False, "false"),
        ([], "[]"),
        (["a", 1, True, None], "[a 1 true <nil>]"),
        ([["a b"], ["c"]], "[[a b] [c]]"),
        ({}, "map[]"),
        ({"roles": ["b", "a"], "admin": False}, "map[admin:false roles:[b a]]"),
        ([{"key": {"inner": 2}}], "[map[key:map[inner:2]]]"),
    ],
)
async def test_claims_reach_the_function_as_text(
    host: LambdaHost, http: aiohttp.ClientSession, issuer: Issuer, claim: object, text: str
) -> None:
    claims = await _claims(host, http, issuer.token(claim=claim))
    assert claims["claim"] == text


async def test_a_claim_that_is_null_does_not_reach_the_function(
    host: LambdaHost, http: aiohttp.ClientSession, issuer: Issuer
) -> None:
    claims = await _claims(host, http, issuer.signed({**issuer.claims(), "cognito:username": None}))
    assert "cognito:username" not in claims
    assert claims["sub"] == "someone"


async def _claims(host: LambdaHost, http: aiohttp.ClientSession, token: str) -> dict[str, str]:
    """Return the claims that the function receives."""
    headers = {"Authorization": f"Bearer {token}"}
    async with http.post(f"{host.http_api_url}/token", headers=headers) as response:
        event = (await response.json())["event"]
    claims: dict[str, str] = event["requestContext"]["authorizer"]["jwt"]["claims"]
    return claims


async def test_events_invoke_the_alias(host: LambdaHost, http: aiohttp.ClientSession) -> None:
    async with http.get(f"{host.http_api_url}/open") as response:
        assert (await response.json())["arn"].endswith(":function:EchoFunction:live")
    answer = json.loads((await host.invoke("EchoFunction", b"{}")).payload)
    assert answer["arn"].endswith(":function:EchoFunction:live")


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


async def test_the_function_decides_the_response(host: LambdaHost, http: aiohttp.ClientSession) -> None:
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


async def test_a_body_that_makes_the_event_too_large_is_refused(
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


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Origin": ORIGIN},
        {"Origin": ORIGIN, "Access-Control-Request-Headers": "authorization"},
        {"Access-Control-Request-Method": "POST"},
        {"Origin": "http://evil.test", "Access-Control-Request-Method": "POST"},
    ],
)
@pytest.mark.parametrize("path", ["/token", "/no-such-route"])
async def test_an_options_request_that_is_no_preflight_of_an_allowed_origin_gets_no_cors_headers(
    host: LambdaHost, http: aiohttp.ClientSession, headers: dict[str, str], path: str
) -> None:
    async with http.options(host.http_api_url + path, headers=headers) as response:
        assert response.status == 204
        assert not [name for name in response.headers if name.lower().startswith("access-control-")]


async def _exchange(url: str, request: bytes) -> tuple[int, bytes]:
    """Send a request exactly as it is, and return the status and the body of the answer."""
    address = URL(url)
    reader, writer = await asyncio.open_connection(address.host, address.port)
    try:
        writer.write(request)
        head, _, body = (await reader.read()).partition(b"\r\n\r\n")
    finally:
        writer.close()
    return int(head.split()[1]), body


def _request_of(size: int, *, values: int, line: int = 0) -> bytes:
    """Return a request whose request line and header values have `size` bytes together."""
    request_line = f"GET /open?{'q' * line} HTTP/1.1"
    left = size - len(request_line) - len("localhost") - len("close")
    lengths = [left // values + (number < left % values) for number in range(values)]
    headers = ["Host: localhost", "Connection: close"]
    headers += [f"X-Header-{number}: {'v' * length}" for number, length in enumerate(lengths)]
    return "\r\n".join([request_line, *headers, "", ""]).encode()


@pytest.mark.parametrize("shape", [{"values": 1}, {"values": 150}, {"values": 1, "line": 9_000}])
async def test_accepts_at_most_10240_bytes_of_request_line_and_header_values(
    host: LambdaHost, shape: dict[str, int]
) -> None:
    status, _ = await _exchange(host.http_api_url, _request_of(10_240, **shape))
    assert status == 200
    for size in (10_241, 100_000):
        status, body = await _exchange(host.http_api_url, _request_of(size, **shape))
        assert (status, json.loads(body)) == (431, {"message": "Request Header Fields Too Large"})


async def test_accepts_a_long_token(host: LambdaHost, http: aiohttp.ClientSession, issuer: Issuer) -> None:
    token = issuer.token(groups=[f"group{number:05}" for number in range(460)])
    assert 9_000 < len(token) < 10_000
    headers = {"Authorization": f"Bearer {token}"}
    async with http.post(f"{host.http_api_url}/token", headers=headers) as response:
        assert response.status == 200


async def test_a_malformed_request_is_not_logged(host: LambdaHost, caplog: pytest.LogCaptureFixture) -> None:
    request = b"GET /open HTTP/1.1\r\nHost: localhost\r\nAuthorization: SECRET\x00\r\n\r\n"
    status, _ = await _exchange(host.http_api_url, request)
    assert status == 400
    assert "Malformed HTTP request" in caplog.text
    assert "SECRET" not in caplog.text


async def test_a_forbidden_origin_gets_no_cors_headers(host: LambdaHost, http: aiohttp.ClientSession) -> None:
    for method in ("OPTIONS", "POST"):
        headers = {"Origin": "http://localhost:5173.evil.test", "Access-Control-Request-Method": "POST"}
        async with http.request(method, f"{host.http_api_url}/token", headers=headers) as response:
            assert not [name for name in response.headers if name.lower().startswith("access-control-")]


async def test_all_origins_of_a_scheme_may_be_allowed(host: LambdaHost, http: aiohttp.ClientSession) -> None:
    for origin in ("https://one.test", "https://two.test"):
        headers = {"Origin": origin, "Access-Control-Request-Method": "POST"}
        async with http.options(f"{host.http_api_url}/token", headers=headers) as response:
            assert response.headers["Access-Control-Allow-Origin"] == origin


async def test_answers_have_the_cors_headers_of_the_api_instead_of_the_functions(
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
