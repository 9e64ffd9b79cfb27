"""One invocation of a function, and what came of it."""

import asyncio
import json
import os
import time
import uuid
from dataclasses import dataclass, field
from typing import Self


@dataclass(frozen=True)
class InvocationResult:
    """What a function answered, or why it did not.

    `function_error` is None, or "Unhandled" as in Lambda's X-Amz-Function-Error header; `payload` is then the
    error as JSON. `log` is the end of what was logged meanwhile, 4 KB at most.
    """

    request_id: str
    payload: bytes
    function_error: str | None = None
    log: str = ""


@dataclass(frozen=True)
class FunctionError:
    """An error of a function as Lambda reports it: a type and a message."""

    error_type: str
    message: str

    def to_json(self) -> bytes:
        """Return the payload that a caller receives."""
        return json.dumps({"errorType": self.error_type, "errorMessage": self.message}).encode()


@dataclass(frozen=True, eq=False)
class Invocation:
    """An event on its way through a function. `result` is set exactly once, whatever happens.

    `client_context` is a JSON object. `function_arn` includes the version or alias that the caller named, and
    `version` is the version that runs.
    """

    payload: bytes
    client_context: str | None
    function_arn: str
    version: str
    request_id: str
    trace_id: str
    result: asyncio.Future[InvocationResult] = field(repr=False)

    @classmethod
    def of(cls, payload: bytes, client_context: str | None, function_arn: str, version: str) -> Self:
        """Make an invocation with ids of its own."""
        return cls(
            payload,
            client_context,
            function_arn,
            version,
            str(uuid.uuid4()),
            new_trace_id(),
            asyncio.get_running_loop().create_future(),
        )

    def answer(self, result: InvocationResult) -> None:
        """Give the caller the result."""
        if not self.result.done():  # The caller may have stopped waiting.
            self.result.set_result(result)

    def fail(self, error: bytes) -> None:
        """Give the caller an error, a JSON document, of a function that has not run."""
        self.answer(InvocationResult(self.request_id, error, "Unhandled"))


def new_trace_id() -> str:
    """Return an X-Ray trace id, as in the X-Amzn-Trace-Id header."""
    return f"Root=1-{int(time.time()):08x}-{os.urandom(12).hex()}"
