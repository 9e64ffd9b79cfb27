"""Payload format 2.0: convert HTTP requests to events, and functions' answers to HTTP responses.

HTTP APIs and function URLs use it:
https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-develop-integrations-lambda.html
https://docs.aws.amazon.com/lambda/latest/dg/urls-invocation.html
"""

import base64
import binascii
import json
import re
import time
import uuid
from typing import Any, TypeVar

from aiohttp import web
from multidict import CIMultiDict

from local.cloudformation.parameters import text_of
from local.lambda_host.invocation import new_trace_id

_T = TypeVar("_T")

_PORT = re.compile(r":[^:\]]*$")
_HEADER_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_NOT_IN_A_HEADER = re.compile(r"[\x00-\x08\x0a-\x1f\x7f\ud800-\udfff]")
# The server sets these, and ignores those of a function.
_SERVER_HEADERS = {"connection", "content-length", "date", "keep-alive", "server", "transfer-encoding"}


class MalformedResponseError(Exception):
    """A function's answer is not a response of payload format 2.0. The message says why."""


def request_event(request: web.Request, body: bytes, *, route_key: str, account_id: str) -> dict[str, Any]:
    """Return the event for an HTTP request. The caller adds the authorizer's context."""
    now = time.time()
    raw_path = request.rel_url.raw_path
    source_ip = request.remote or ""
    headers = _headers(request)
    domain_name = _PORT.sub("", headers.get("host", ""))
    event: dict[str, Any] = {
        "version": "2.0",
        "routeKey": route_key,
        "rawPath": raw_path,
        "rawQueryString": request.rel_url.raw_query_string,
        "headers": {
            **headers,
            "x-amzn-trace-id": headers.get("x-amzn-trace-id", new_trace_id()),
            "x-forwarded-for": source_ip,
            "x-forwarded-port": str(request.get_extra_info("sockname")[1]),
            "x-forwarded-proto": request.scheme,
        },
        "requestContext": {
            "accountId": account_id,
            "apiId": "local",
            "domainName": domain_name,
            "domainPrefix": domain_name.split(".")[0],
            "http": {
                "method": request.method,
                "path": raw_path,
                "protocol": f"HTTP/{request.version.major}.{request.version.minor}",
                "sourceIp": source_ip,
                "userAgent": headers.get("user-agent", ""),
            },
            "requestId": str(uuid.uuid4()),
            "routeKey": route_key,
            "stage": "$default",
            "time": time.strftime("%d/%b/%Y:%H:%M:%S +0000", time.gmtime(now)),
            "timeEpoch": int(now * 1000),
        },
        "isBase64Encoded": False,
    }
    if cookies := request.headers.getall("Cookie", []):
        event["cookies"] = [cookie.strip() for header in cookies for cookie in _text(header).split(";")]
    if query := request.query:
        event["queryStringParameters"] = {name: ",".join(query.getall(name)) for name in query}
    if body:
        event["body"], event["isBase64Encoded"] = _body(request.content_type, body)
    return event


def response_from(payload: bytes) -> web.Response:
    """Return the HTTP response for a function's answer, a JSON document. Raise MalformedResponseError.

    An answer other than an object with a `statusCode` becomes the body of a 200.
    """
    try:
        answer = json.loads(payload)
    except (ValueError, RecursionError) as error:
        raise MalformedResponseError("the answer is not JSON") from error
    if not isinstance(answer, dict) or "statusCode" not in answer:
        return web.Response(body=payload, content_type="application/json")
    status = answer["statusCode"]
    if type(status) is not int or not 200 <= status <= 599:
        raise MalformedResponseError(f"statusCode {status!r} is not a number from 200 to 599")
    return web.Response(status=status, headers=_response_headers(answer), body=_response_body(answer))


def _response_headers(answer: dict[str, Any]) -> CIMultiDict[str]:
    headers = CIMultiDict({"Content-Type": "application/json"})
    for name, value in _of_type(answer, "headers", dict).items():
        if not _HEADER_NAME.fullmatch(name):
            raise MalformedResponseError(f"{name!r} is not a valid header name")
        if name.lower() not in _SERVER_HEADERS:
            headers[name] = _header_value(name, value)
    for cookie in _of_type(answer, "cookies", list):
        headers.add("Set-Cookie", _header_value("Set-Cookie", cookie))
    return headers


def _header_value(name: str, value: Any) -> str:
    text = text_of(value)
    if _NOT_IN_A_HEADER.search(text):
        raise MalformedResponseError(f"{name} has characters that are not allowed in a header")
    return text


def _response_body(answer: dict[str, Any]) -> bytes:
    try:
        body = _of_type(answer, "body", str).encode()
        return base64.b64decode(body, validate=True) if answer.get("isBase64Encoded") else body
    except binascii.Error as error:
        raise MalformedResponseError("isBase64Encoded is true, but the body is not base64") from error
    except UnicodeEncodeError as error:
        raise MalformedResponseError("the body is not Unicode text") from error


def _of_type(answer: dict[str, Any], name: str, kind: type[_T]) -> _T:
    value = answer.get(name)
    if value is None:
        return kind()
    if not isinstance(value, kind):
        raise MalformedResponseError(f"{name} is not a {kind.__name__}")
    return value


def _headers(request: web.Request) -> dict[str, str]:
    """Return headers with lower-case names and joined values, without cookies, which have their own field."""
    names = dict.fromkeys(name.lower() for name in request.headers if name.lower() != "cookie")
    return {name: _text(",".join(request.headers.getall(name))) for name in names}


def _text(value: str) -> str:
    """Return a header's value with the bytes that are not UTF-8 replaced."""
    return value.encode("utf-8", "surrogateescape").decode("utf-8", "replace")


def _body(content_type: str, body: bytes) -> tuple[str, bool]:
    """Return the body for an event, and whether it is in base64. Known text types are not."""
    kind, _, subtype = content_type.partition("/")
    subtypes = set(subtype.split("+"))
    if kind == "text" or (kind == "application" and subtypes & {"json", "xml", "javascript"}):
        try:
            return body.decode(), False
        except UnicodeDecodeError:
            pass
    return base64.b64encode(body).decode(), True
