"""Answer HTTP requests with a function, for HTTP APIs and function URLs."""

import json
from collections.abc import Mapping
from typing import Any

from aiohttp import web

from local.lambda_host.function import Function
from local.lambda_host.limits import MAX_PAYLOAD_BYTES
from local.lambda_host.payload import MalformedResponseError, request_event, response_from

_BODY = web.RequestKey("body", bytes)


class RequestTooLargeError(Exception):
    """The request does not fit into an event."""


class FunctionFailedError(Exception):
    """The function failed or returned a malformed response."""


async def answer_with(
    function: Function,
    request: web.Request,
    *,
    route_key: str,
    account_id: str,
    authorizer: Mapping[str, Any] | None = None,
) -> web.Response:
    """Invoke `function` with the request as its event, and return its response.

    `authorizer` is the authorizer's context. Raise RequestTooLargeError, FunctionFailedError or
    ThrottledError.
    """
    try:
        body = await request.read()
    except web.HTTPRequestEntityTooLarge as error:
        raise RequestTooLargeError from error
    request[_BODY] = body
    event = request_event(request, body, route_key=route_key, account_id=account_id)
    if authorizer:
        event["requestContext"]["authorizer"] = authorizer
    payload = json.dumps(event).encode()
    if len(payload) > MAX_PAYLOAD_BYTES:
        raise RequestTooLargeError
    result = await function.invoke(payload, qualifier=function.configuration.alias)
    if result.function_error:
        raise FunctionFailedError
    try:
        return response_from(result.payload)
    except MalformedResponseError as error:
        raise FunctionFailedError from error


def body_of(request: web.Request) -> bytes:
    """Return the body that a function was invoked with, or an empty one if none was."""
    body: bytes = request.get(_BODY, b"")
    return body
