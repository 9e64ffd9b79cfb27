"""The Lambda Runtime API, from which a function's process gets its events and to which it sends its answers.

Protocol: https://docs.aws.amazon.com/lambda/latest/dg/runtimes-api.html
"""

import time
from types import TracebackType
from typing import Protocol, Self

from aiohttp import web

from local.lambda_host.invocation import FunctionError, Invocation
from local.lambda_host.limits import MAX_PAYLOAD_BYTES
from local.serving.ports import HOST, listen, port_of

# The client also sends an error's trace in a header of up to 1 MB.
_MAX_HEADER_BYTES = 2 * 1024 * 1024


class Environment(Protocol):
    """What a Runtime API needs from the environment of its process."""

    @property
    def timeout(self) -> float:
        """Return the timeout of an invocation, in seconds."""

    async def next_invocation(self) -> Invocation:
        """Wait for the next invocation of the process."""

    def respond(self, request_id: str, payload: bytes) -> bool:
        """Store the function's response. Return False if that invocation is not running."""

    def report_error(self, request_id: str, error: bytes) -> bool:
        """Store the function's error. Return False if that invocation is not running."""

    def report_start_error(self, error: bytes) -> None:
        """Store the error that prevented the start."""


class RuntimeApi:
    """The Runtime API of one process. Each has its own port, which identifies the process."""

    def __init__(self, environment: Environment) -> None:
        """Serve the process of `environment`."""
        self._environment = environment
        app = web.Application(client_max_size=2 * MAX_PAYLOAD_BYTES)
        app.add_routes(
            [
                web.get("/2018-06-01/runtime/invocation/next", self._next),
                web.post("/2018-06-01/runtime/invocation/{request_id}/response", self._response),
                web.post("/2018-06-01/runtime/invocation/{request_id}/error", self._error),
                web.post("/2018-06-01/runtime/init/error", self._init_error),
            ]
        )
        self._runner = web.AppRunner(
            app, access_log=None, shutdown_timeout=0.1, max_field_size=_MAX_HEADER_BYTES, max_line_size=8190
        )
        self.address = ""

    async def __aenter__(self) -> Self:
        """Listen at `address` (host:port)."""
        await self._runner.setup()
        sock = listen(0)
        self.address = f"{HOST}:{port_of(sock)}"
        await web.SockSite(self._runner, sock).start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop listening."""
        await self._runner.cleanup()

    async def _next(self, request: web.Request) -> web.Response:
        invocation = await self._environment.next_invocation()
        try:
            response = self._event(invocation)
            await response.prepare(request)  # Sends the headers.
        except Exception as error:
            # The process never gets this invocation, so nothing else would answer the caller in time.
            failure = FunctionError(
                "ServiceException", f"The invocation cannot be sent to the function: {error}"
            )
            self._environment.report_error(invocation.request_id, failure.to_json())
            raise
        return response

    def _event(self, invocation: Invocation) -> web.Response:
        deadline = int((time.time() + self._environment.timeout) * 1000)
        headers = {
            "Lambda-Runtime-Aws-Request-Id": invocation.request_id,
            "Lambda-Runtime-Deadline-Ms": str(deadline),
            "Lambda-Runtime-Invoked-Function-Arn": invocation.function_arn,
            "Lambda-Runtime-Trace-Id": invocation.trace_id,
        }
        if invocation.client_context is not None:
            headers["Lambda-Runtime-Client-Context"] = invocation.client_context
        return web.Response(body=invocation.payload, content_type="application/json", headers=headers)

    async def _response(self, request: web.Request) -> web.Response:
        request_id = request.match_info["request_id"]
        payload = await request.read()
        if len(payload) > MAX_PAYLOAD_BYTES:
            message = (
                f"Response payload size exceeded maximum allowed payload size ({MAX_PAYLOAD_BYTES} bytes)."
            )
            error = FunctionError("Function.ResponseSizeTooLarge", message)
            accepted = self._environment.report_error(request_id, error.to_json())
        else:
            accepted = self._environment.respond(request_id, payload)
        return _accepted() if accepted else _unknown_request_id()

    async def _error(self, request: web.Request) -> web.Response:
        accepted = self._environment.report_error(request.match_info["request_id"], await request.read())
        return _accepted() if accepted else _unknown_request_id()

    async def _init_error(self, request: web.Request) -> web.Response:
        self._environment.report_start_error(await request.read())
        return _accepted()


def _accepted() -> web.Response:
    return web.json_response({"status": "OK"}, status=202)


def _unknown_request_id() -> web.Response:
    return web.json_response(
        {"errorType": "InvalidRequestID", "errorMessage": "Invalid request ID"}, status=400
    )
