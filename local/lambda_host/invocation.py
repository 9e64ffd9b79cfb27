"""One invocation of a function, and its result."""

import asyncio
import json
import os
import time
import uuid
from dataclasses import dataclass, field
from typing import Self


@dataclass(frozen=True)
class InvocationResult:
    """The answer of a function, or its error.

    `function_error` is None, or "Unhandled" as in Lambda's X-Amz-Function-Error header; `payload` is then the
    error as JSON. `log` is the last 4 KB of the log of this invocation.
    """

    request_id: str
    payload: bytes
    function_error: str | None = None
    log: str = ""


@dataclass(frozen=True)
class FunctionError:
    """A function's error as Lambda reports it: a type and a message."""

    error_type: str
    message: str

    def to_json(self) -> bytes:
        """Return the payload that a caller receives."""
        return json.dumps({"errorType": self.error_type, "errorMessage": self.message}).encode()


@dataclass(frozen=True, eq=False)
class Invocation:
    """An event for a function. `result` is always set, exactly once.

    `client_context` is a JSON object. `function_arn` includes the caller's version or alias, and `version` is
    the version that runs.
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
        """Create an invocation with new ids."""
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
        if not self.result.done():  # The caller may have cancelled it.
            self.result.set_result(result)

    def fail(self, error: bytes) -> None:
        """Give the caller an error (JSON) because the function did not run."""
        self.answer(InvocationResult(self.request_id, error, "Unhandled"))


def new_trace_id() -> str:
    """Return an X-Ray trace id, as in the X-Amzn-Trace-Id header."""
    return f"Root=1-{int(time.time()):08x}-{os.urandom(12).hex()}"
