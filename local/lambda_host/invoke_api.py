"""The Lambda API's Invoke, as `aws lambda invoke --endpoint-url` and boto3 call it.

Protocol: https://docs.aws.amazon.com/lambda/latest/api/API_Invoke.html
"""

import asyncio
import base64
import json
from collections.abc import Mapping
from urllib.parse import unquote
from uuid import uuid4

from aiohttp import web

from local.lambda_host.function import Function, ThrottledError
from local.lambda_host.limits import MAX_ASYNCHRONOUS_PAYLOAD_BYTES, MAX_PAYLOAD_BYTES
from local.template import ACCOUNT_ID, REGION


class InvokeApi:
    """Invokes functions by name or ARN.

    An asynchronous invocation (type Event) runs once: unlike Lambda's it is not tried again after an error.
    """

    def __init__(self, functions: Mapping[str, Function]) -> None:
        """Serve `functions`, by logical id."""
        self._functions = functions
        self._asynchronous: set[asyncio.Task[object]] = set()

    def application(self) -> web.Application:
        """Return the web application that serves the API."""
        app = web.Application(client_max_size=MAX_PAYLOAD_BYTES)
        app.router.add_post("/2015-03-31/functions/{name}/invocations", self._invoke)
        return app

    async def _invoke(self, request: web.Request) -> web.Response:
        kind = request.headers.get("X-Amz-Invocation-Type", "RequestResponse")
        try:
            function = self._function(request)
            payload = await _payload(request, kind)
            client_context = _client_context(request)
        except _RefusedError as error:
            return error.answer()
        if kind == "DryRun":
            return _answer(204)
        if kind == "Event":
            task = asyncio.create_task(function.invoke_in_turn(payload))
            self._asynchronous.add(task)
            task.add_done_callback(self._asynchronous.discard)
            return _answer(202)
        try:
            result = await function.invoke(payload, client_context)
        except ThrottledError as error:
            return _throttled(error)
        headers = {"X-Amz-Executed-Version": "$LATEST", "x-amzn-RequestId": result.request_id}
        if result.function_error:
            headers["X-Amz-Function-Error"] = result.function_error
        if request.headers.get("X-Amz-Log-Type") == "Tail":
            headers["X-Amz-Log-Result"] = base64.b64encode(result.log.encode()[-4096:]).decode()
        return _answer(200, result.payload, headers)

    def _function(self, request: web.Request) -> Function:
        """Return the function meant by a name, an ARN or a part of one, each perhaps with `:$LATEST`."""
        name = unquote(request.match_info["name"]).removesuffix(":$LATEST").rpartition(":")[2]
        try:
            return self._functions[name]
        except KeyError:
            arn = f"arn:aws:lambda:{REGION}:{ACCOUNT_ID}:function:{name}"
            raise _RefusedError(404, "ResourceNotFoundException", f"Function not found: {arn}") from None


class _RefusedError(Exception):
    """The request is not one to invoke a function with."""

    def __init__(self, status: int, kind: str, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.kind = kind

    def answer(self) -> web.Response:
        body = json.dumps({"Type": "User", "Message": str(self)}).encode()
        return _answer(self.status, body, {"x-amzn-ErrorType": self.kind})


def _throttled(error: ThrottledError) -> web.Response:
    body = {"Type": "User", "Reason": error.reason, "message": error.message}
    return _answer(429, json.dumps(body).encode(), {"x-amzn-ErrorType": "TooManyRequestsException"})


async def _payload(request: web.Request, kind: str) -> bytes:
    """Return the event in a request for an invocation of a kind."""
    match kind:
        case "RequestResponse" | "DryRun":
            limit = MAX_PAYLOAD_BYTES
        case "Event":
            limit = MAX_ASYNCHRONOUS_PAYLOAD_BYTES
        case _:
            raise _RefusedError(400, "InvalidParameterValueException", f"Unknown invocation type {kind}")
    try:
        payload = await request.read() or b"{}"
    except web.HTTPRequestEntityTooLarge:
        payload = None
    if payload is None or len(payload) > limit:
        message = f"The payload is too large for the {kind} invocation type (limit {limit} bytes)"
        raise _RefusedError(413, "RequestTooLargeException", message)
    try:
        json.loads(payload)
    except (ValueError, RecursionError) as error:
        message = f"Could not parse request body into json: {error}"
        raise _RefusedError(400, "InvalidRequestContentException", message) from error
    return payload


def _client_context(request: web.Request) -> str | None:
    """Return the JSON document that a client sent about itself."""
    context = request.headers.get("X-Amz-Client-Context")
    try:
        return base64.b64decode(context, validate=True).decode() if context else None
    except ValueError as error:
        message = "The client context must be base64 of a JSON document"
        raise _RefusedError(400, "InvalidRequestContentException", message) from error


def _answer(status: int, body: bytes = b"", headers: Mapping[str, str] | None = None) -> web.Response:
    return web.Response(
        status=status,
        body=body,
        content_type="application/json",
        headers={"x-amzn-RequestId": str(uuid4()), **(headers or {})},
    )
