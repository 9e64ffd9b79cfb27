"""The Invoke operation of the Lambda API, for `aws lambda invoke --endpoint-url` and boto3.

Protocol: https://docs.aws.amazon.com/lambda/latest/api/API_Invoke.html
"""

import asyncio
import base64
import json
import re
from collections.abc import Mapping
from typing import Any
from uuid import uuid4

from aiohttp import web

from local.cloudformation.template import ACCOUNT_ID, REGION
from local.lambda_host.function import Function, ThrottledError
from local.lambda_host.limits import (
    MAX_ASYNCHRONOUS_PAYLOAD_BYTES,
    MAX_CLIENT_CONTEXT_BYTES,
    MAX_PAYLOAD_BYTES,
)

# The Lambda API's patterns for a function name and a qualifier.
_NAME_PATTERN = (
    r"(arn:(aws[a-zA-Z-]*)?:lambda:)?((eusc-)?[a-z]{2}((-gov)|(-iso([a-z]?)))?-[a-z]+-\d{1}:)?(\d{12}:)?"
    r"(function:)?([a-zA-Z0-9-_\.]+)(:(\$LATEST(\.PUBLISHED)?|[a-zA-Z0-9-_]+))?"
)
_QUALIFIER_PATTERN = r"\$(LATEST(\.PUBLISHED)?)|[a-zA-Z0-9-_$]+"
_MAX_NAME_LENGTH = 256
_MAX_QUALIFIER_LENGTH = 128
_NAME = re.compile(
    r"(arn:[^:]*:lambda:)?((?P<region>[a-z-]+-\d):)?((?P<account>\d{12}):)?(function:)?"
    r"(?P<name>[^:]+)(:(?P<qualifier>[^:]+))?"
)


class InvokeApi:
    """Invoke functions, versions and aliases, by name or ARN.

    An asynchronous invocation (type Event) runs only once; Lambda would retry it after an error.
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
            function, qualifier = self._target(request)
            payload = await _payload(request, kind)
            client_context = _client_context(request)
        except _RefusedError as error:
            return error.answer()
        if kind == "DryRun":
            return _answer(204)
        if kind == "Event":
            task = asyncio.create_task(function.invoke_in_turn(payload, qualifier=qualifier))
            self._asynchronous.add(task)
            task.add_done_callback(self._asynchronous.discard)
            return _answer(202)
        try:
            result = await function.invoke(payload, client_context=client_context, qualifier=qualifier)
        except ThrottledError as error:
            return _RefusedError(429, "TooManyRequestsException", error.message, Reason=error.reason).answer()
        headers = {
            "X-Amz-Executed-Version": function.configuration.versions[qualifier],
            "x-amzn-RequestId": result.request_id,
        }
        if result.function_error:
            headers["X-Amz-Function-Error"] = result.function_error
        if request.headers.get("X-Amz-Log-Type") == "Tail":
            headers["X-Amz-Log-Result"] = base64.b64encode(result.log.encode()[-4096:]).decode()
        return _answer(200, result.payload, headers)

    def _target(self, request: web.Request) -> tuple[Function, str | None]:
        """Return the function in the request, and the version or alias if there is one.

        The name may be an ARN or a part of one, and end with a version or alias.
        """
        text = request.match_info["name"]
        _check("functionName", text, _NAME_PATTERN, _MAX_NAME_LENGTH)
        qualifier = request.query.get("Qualifier")
        if qualifier is not None:
            _check("qualifier", qualifier, _QUALIFIER_PATTERN, _MAX_QUALIFIER_LENGTH)
        named = _NAME.fullmatch(text)
        assert named  # noqa: S101 - this pattern matches all that the API's pattern matches
        _check_region_and_account(named["region"], named["account"], text)
        if named["qualifier"] and qualifier and named["qualifier"] != qualifier:
            raise _RefusedError(
                400,
                "InvalidParameterValueException",
                "The derived qualifier from the function name does not match the specified qualifier.",
            )
        qualifier = named["qualifier"] or qualifier
        function = self._functions.get(named["name"])
        if not function or qualifier not in function.configuration.versions:
            arn = f"arn:aws:lambda:{REGION}:{ACCOUNT_ID}:function:{named['name']}"
            arn += f":{qualifier}" if qualifier else ""
            raise _RefusedError(404, "ResourceNotFoundException", f"Function not found: {arn}")
        return function, qualifier


class _RefusedError(Exception):
    """The request is refused. `members` are additional members of the error's JSON."""

    def __init__(self, status: int, kind: str, message: str, **members: str) -> None:
        super().__init__(message)
        self._status = status
        self._kind = kind
        self._members = members

    def answer(self) -> web.Response:
        # The API's model has both spellings.
        message = "Message" if self._kind == "ResourceNotFoundException" else "message"
        body = json.dumps({"Type": "User", **self._members, message: str(self)}).encode()
        return _answer(self._status, body, {"x-amzn-ErrorType": self._kind})


def _check(parameter: str, value: str, pattern: str, max_length: int) -> None:
    """Raise _RefusedError if a parameter breaks the constraints of the API's model."""
    if len(value) > max_length:
        constraint = f"Member must have length less than or equal to {max_length}"
    elif not value:
        constraint = "Member must have length greater than or equal to 1"
    elif not re.fullmatch(pattern, value, re.ASCII):
        constraint = f"Member must satisfy regular expression pattern: {pattern}"
    else:
        return
    raise _RefusedError(
        400,
        "ValidationException",
        f"1 validation error detected: Value '{value}' at '{parameter}' failed to satisfy constraint: "
        f"{constraint}",
    )


def _check_region_and_account(region: str | None, account: str | None, name: str) -> None:
    """Raise _RefusedError if an ARN has another region or account."""
    if region not in {None, REGION}:
        raise _RefusedError(
            404,
            "ResourceNotFoundException",
            f"Functions from '{region}' are not reachable in this region ('{REGION}')",
        )
    if account not in {None, ACCOUNT_ID}:
        raise _RefusedError(
            403,
            "AccessDeniedException",
            f"User: arn:aws:iam::{ACCOUNT_ID}:root is not authorized to perform: lambda:InvokeFunction "
            f"on resource: {name} because no resource-based policy allows the lambda:InvokeFunction action",
        )


async def _payload(request: web.Request, kind: str) -> bytes:
    """Return the event in a request for an invocation of type `kind`."""
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
        _json(payload)
    except (ValueError, RecursionError) as error:
        message = f"Could not parse request body into json: {error}"
        raise _RefusedError(400, "InvalidRequestContentException", message) from error
    return payload


def _client_context(request: web.Request) -> str | None:
    """Return the client context: a JSON object, without white space and in ASCII."""
    encoded = request.headers.get("X-Amz-Client-Context")
    if not encoded:
        return None
    try:
        context = _json(base64.b64decode(encoded, validate=True))
    except (ValueError, RecursionError):
        context = None
    if not isinstance(context, dict) or len(encoded) > MAX_CLIENT_CONTEXT_BYTES:
        message = (
            "Client context must be a valid Base64-encoded JSON object "
            f"of at most {MAX_CLIENT_CONTEXT_BYTES} bytes."
        )
        raise _RefusedError(400, "InvalidRequestContentException", message)
    # The process gets it in a header, which cannot contain line breaks.
    return json.dumps(context, separators=(",", ":"))


def _json(document: bytes) -> Any:
    """Parse strict JSON: UTF-8, without NaN. Raise ValueError or RecursionError."""

    def refuse(name: str) -> None:
        raise ValueError(f"{name} is not JSON")

    return json.loads(document.decode(), parse_constant=refuse)


def _answer(status: int, body: bytes = b"", headers: Mapping[str, str] | None = None) -> web.Response:
    return web.Response(
        status=status,
        body=body,
        content_type="application/json",
        headers={"x-amzn-RequestId": str(uuid4()), **(headers or {})},
    )
