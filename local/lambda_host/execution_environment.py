"""One process of a function: it starts, runs invocations one after another, and ends.

As on Lambda, the process runs AWS's runtime interface client: `python -m awslambdaric HANDLER`.
"""

import asyncio
import os
import secrets
import sys
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from signal import Signals

from local.aws.credentials import LOCAL_CREDENTIALS, Credentials
from local.cloudformation.template import REGION
from local.lambda_host.declaration import LATEST, FunctionConfiguration
from local.lambda_host.invocation import FunctionError, Invocation, InvocationResult
from local.lambda_host.runtime_api import RuntimeApi
from local.serving.child_process import ChildProcess, clean_environment

# AWS allows 10 s, but this machine's processors are shared.
_SECONDS_TO_START = 30.0
_LOG_TAIL_BYTES = 4096

AssumeRole = Callable[[str, str], Awaitable[Credentials]]
"""Return temporary credentials, given the ARN of a role and the name of the session."""


@dataclass
class _Running:
    invocation: Invocation
    since: float
    timer: asyncio.TimerHandle
    result: InvocationResult | None = None


class ExecutionEnvironment:
    """A process of a function, with a Runtime API of its own."""

    def __init__(
        self,
        configuration: FunctionConfiguration,
        *,
        assume_role: AssumeRole,
        became_idle: Callable[["ExecutionEnvironment"], None],
        failed_to_start: Callable[[bytes], None],
        on_log_line: Callable[[str], None],
    ) -> None:
        """Create an environment that is not started yet.

        `became_idle` may call `begin` immediately. `failed_to_start` gets the error as JSON. `pid` is the
        process id while the process runs.
        """
        self._configuration = configuration
        self._assume_role = assume_role
        self._became_idle = became_idle
        self._failed_to_start = failed_to_start
        self._on_log_line = on_log_line
        self._next: asyncio.Future[Invocation] | None = None
        self._running: _Running | None = None
        self._started = False
        self._start_error: bytes | None = None
        self._log_tail = ""
        self._process: ChildProcess
        self.pid: int | None = None

    async def run(self) -> None:
        """Start the process and wait until it ends. Cancel this to stop it.

        Raise OSError, or an error from assuming the role.
        """
        credentials = await self._credentials()
        async with RuntimeApi(self) as api:
            self._process = await ChildProcess.start(
                "awslambdaric",
                self._configuration.handler,
                environment=self._variables(api.address, credentials),
                on_output_line=self._log,
            )
            self.pid = self._process.pid
            start_timer = asyncio.get_running_loop().call_later(_SECONDS_TO_START, self._start_timed_out)
            try:
                exit_code = await self._process.wait()
            except asyncio.CancelledError:
                await self._process.stop()
                if self._running:  # Not logged, because stopping is intended.
                    error = FunctionError("Runtime.ExitError", "The local stack is stopping.")
                    self.report_error(self._running.invocation.request_id, error.to_json())
                    self._answer_caller()
                raise
            finally:
                self.pid = None
                start_timer.cancel()
                if self._next:
                    self._next.cancel()
            self._ended(FunctionError("Runtime.ExitError", _exit_message(exit_code)))

    @property
    def is_idle(self) -> bool:
        """Return whether the process is waiting for an invocation."""
        return self._next is not None and not self._next.done()

    def begin(self, invocation: Invocation) -> None:
        """Pass the invocation to the process, which must be idle, and start its timeout."""
        assert self._next  # noqa: S101
        self._log_tail = ""
        self._log(f"START RequestId: {invocation.request_id} Version: {invocation.version}")
        timer = asyncio.get_running_loop().call_later(self._configuration.timeout, self._invocation_timed_out)
        self._running = _Running(invocation, time.monotonic(), timer)
        self._next.set_result(invocation)

    # Calls of the process through its Runtime API

    async def next_invocation(self) -> Invocation:
        """Answer the caller of the finished invocation, and wait for the next one.

        The answer waits until now so that a caller who invokes again at once finds this environment idle.
        """
        self._started = True
        self._next = asyncio.get_running_loop().create_future()
        self._answer_caller()
        self._became_idle(self)
        return await self._next

    def respond(self, request_id: str, payload: bytes) -> bool:
        """Store the function's response. Return False if that invocation is not running."""
        return self._finish(request_id, payload, None)

    def report_error(self, request_id: str, error: bytes) -> bool:
        """Store the function's error. Return False if that invocation is not running."""
        return self._finish(request_id, error, "Unhandled")

    def report_start_error(self, error: bytes) -> None:
        """Store the error that prevented the start. The process ends next."""
        self._start_error = error

    @property
    def timeout(self) -> float:
        """Return the timeout of an invocation, in seconds."""
        return self._configuration.timeout

    def _finish(self, request_id: str, payload: bytes, function_error: str | None) -> bool:
        running = self._running
        if not running or running.result or running.invocation.request_id != request_id:
            return False
        milliseconds = (time.monotonic() - running.since) * 1000
        self._log(f"END RequestId: {request_id}")
        self._log(
            f"REPORT RequestId: {request_id}\tDuration: {milliseconds:.2f} ms"
            f"\tMemory Size: {self._configuration.memory_size} MB"
        )
        running.result = InvocationResult(request_id, payload, function_error, self._log_tail)
        return True

    def _answer_caller(self) -> None:
        if self._running and self._running.result:
            self._running.timer.cancel()
            self._running.invocation.answer(self._running.result)
            self._running = None

    def _fail_running(self, error: FunctionError) -> None:
        """Answer the caller, with `error` if the function has not answered."""
        if self._running and not self._running.result:
            self._log(error.message)
            self.report_error(self._running.invocation.request_id, error.to_json())
        self._answer_caller()

    def _invocation_timed_out(self) -> None:
        assert self._running  # noqa: S101
        date = datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        request_id = self._running.invocation.request_id
        message = f"{date} {request_id} Task timed out after {self.timeout:.2f} seconds"
        self._fail_running(FunctionError("Sandbox.Timedout", message))
        self._process.kill()

    def _start_timed_out(self) -> None:
        if not self._started:
            message = f"The function did not start within {_SECONDS_TO_START:.0f} seconds"
            self._start_error = FunctionError("Sandbox.Timedout", message).to_json()
            self._process.kill()

    def _ended(self, error: FunctionError) -> None:
        if self._running:
            request_id = self._running.invocation.request_id
            self._fail_running(
                FunctionError(error.error_type, f"RequestId: {request_id} Error: {error.message}")
            )
        elif not self._started:
            self._failed_to_start(self._start_error or error.to_json())

    def _log(self, line: str) -> None:
        # The client separates the lines of a traceback by carriage returns. CloudWatch shows them as lines.
        self._log_tail = (self._log_tail + line.replace("\r", "\n") + "\n")[-_LOG_TAIL_BYTES:]
        self._on_log_line(line)

    async def _credentials(self) -> Credentials:
        configuration = self._configuration
        if configuration.role is None:
            return LOCAL_CREDENTIALS
        return await self._assume_role(configuration.role, configuration.name)

    def _variables(self, runtime_api: str, credentials: Credentials) -> dict[str, str]:
        """Return the process's environment: Lambda's runtime variables and the function's own."""
        configuration = self._configuration
        today = datetime.now(UTC).strftime("%Y/%m/%d")
        python = f"python{sys.version_info.major}.{sys.version_info.minor}"
        return {
            **clean_environment(),
            "PYTHONPATH": str(configuration.code),
            "LAMBDA_TASK_ROOT": str(configuration.code),
            "_HANDLER": configuration.handler,
            "AWS_LAMBDA_RUNTIME_API": runtime_api,
            "AWS_LAMBDA_FUNCTION_NAME": configuration.name,
            "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": str(configuration.memory_size),
            "AWS_LAMBDA_FUNCTION_VERSION": LATEST,
            "AWS_LAMBDA_INITIALIZATION_TYPE": "on-demand",
            "AWS_LAMBDA_LOG_GROUP_NAME": f"/aws/lambda/{configuration.name}",
            "AWS_LAMBDA_LOG_STREAM_NAME": f"{today}/[{LATEST}]{secrets.token_hex(16)}",
            "AWS_EXECUTION_ENV": f"AWS_Lambda_{python}",
            "AWS_REGION": REGION,
            "AWS_DEFAULT_REGION": REGION,
            "AWS_ACCESS_KEY_ID": credentials.access_key_id,
            "AWS_SECRET_ACCESS_KEY": credentials.secret_access_key,
            "AWS_SESSION_TOKEN": credentials.session_token,
            # botocore finds the developer's own files even without HOME.
            "AWS_CONFIG_FILE": os.devnull,
            "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
            **configuration.environment,
        }


def _exit_message(exit_code: int) -> str:
    if exit_code == 0:
        return "Runtime exited without providing a reason"
    if exit_code > 0:
        return f"Runtime exited with error: exit status {exit_code}"
    return f"Runtime exited with error: signal: {Signals(-exit_code).name}"
