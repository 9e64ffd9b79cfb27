"""A function, with a queue of invocations and the execution environments that process it."""

import asyncio
import logging
import os
from collections import deque
from collections.abc import Callable

from local.lambda_host.declaration import FunctionConfiguration
from local.lambda_host.execution_environment import AssumeRole, ExecutionEnvironment
from local.lambda_host.invocation import FunctionError, Invocation, InvocationResult

logger = logging.getLogger(__name__)

# Starting Python keeps a processor busy for most of a second. More starts at once would only delay each
# other, while a warm environment could empty the queue.
_MAX_STARTING = os.cpu_count() or 1


class ThrottledError(Exception):
    """The function's reserved concurrency is used up, so the invocation did not run."""

    reason = "ReservedFunctionConcurrentInvocationLimitExceeded"
    message = "Rate Exceeded."


class Function:
    """Run invocations as Lambda does: one at a time in each environment, with more environments under load.

    If an invocation waits and no environment is idle, a new one starts, up to `max_concurrency`. Beyond that,
    invocations wait; with reserved concurrency, they are refused. The environment that was used last is
    used first. If an environment fails to start, the oldest waiting invocation fails, so a broken function
    is started only once per invocation.
    """

    def __init__(
        self,
        configuration: FunctionConfiguration,
        max_concurrency: int,
        assume_role: AssumeRole,
        on_log_line: Callable[[str, str], None],
    ) -> None:
        """Run at most `max_concurrency` environments, or the reserved concurrency if that is less.

        `on_log_line` gets the function's name and each line of its log.
        """
        self.configuration = configuration
        reserved = configuration.reserved_concurrency
        self._max_concurrency = max_concurrency if reserved is None else min(max_concurrency, reserved)
        self._assume_role = assume_role
        self._on_log_line = on_log_line
        self._waiting: deque[Invocation] = deque()
        self._idle: list[ExecutionEnvironment] = []
        self._starting: set[ExecutionEnvironment] = set()
        self._environments: dict[asyncio.Task[None], ExecutionEnvironment] = {}
        self._invocations = 0
        self._stopping = False

    async def invoke(
        self, payload: bytes, *, client_context: str | None = None, qualifier: str | None = None
    ) -> InvocationResult:
        """Invoke the function with `payload`, a JSON document, and return its result. Raise ThrottledError.

        `client_context` is a JSON object. `qualifier` is the version or alias to invoke.
        """
        reserved = self.configuration.reserved_concurrency
        if reserved is not None and self._invocations >= reserved:
            raise ThrottledError
        return await self.invoke_in_turn(payload, client_context=client_context, qualifier=qualifier)

    async def invoke_in_turn(
        self, payload: bytes, *, client_context: str | None = None, qualifier: str | None = None
    ) -> InvocationResult:
        """Invoke the function as asynchronous invocations do: wait instead of raising ThrottledError."""
        configuration = self.configuration
        invocation = Invocation.of(
            payload, client_context, configuration.arn(qualifier), configuration.versions[qualifier]
        )
        self._waiting.append(invocation)
        self._invocations += 1
        try:
            self._dispatch()
            return await invocation.result
        finally:
            self._invocations -= 1

    @property
    def processes(self) -> list[int]:
        """Return the ids of the running processes."""
        return [environment.pid for environment in self._environments.values() if environment.pid is not None]

    async def stop(self) -> None:
        """Stop all environments, and answer waiting invocations with an error."""
        self._stopping = True
        for task in self._environments:
            task.cancel()
        await asyncio.gather(*self._environments, return_exceptions=True)
        self._dispatch()

    # Calls of an environment

    def became_idle(self, environment: ExecutionEnvironment) -> None:
        """Give the environment its next invocation, now or later."""
        self._starting.discard(environment)
        self._idle.append(environment)
        self._dispatch()

    def failed_to_start(self, error: bytes) -> None:
        """Fail the oldest waiting invocation, because an environment did not start."""
        if self._waiting:
            self._waiting.popleft().fail(error)

    def _dispatch(self) -> None:
        """Give waiting invocations to idle environments, and start more environments if needed."""
        if self._stopping:
            while self._waiting:
                error = FunctionError("ServiceException", "The local stack is stopping.")
                self._waiting.popleft().fail(error.to_json())
            return
        while self._waiting and self._idle:
            environment = self._idle.pop()
            if environment.is_idle:  # Its process may have ended a moment ago.
                self._begin(environment, self._waiting.popleft())
        while (
            len(self._waiting) > len(self._starting)
            and len(self._starting) < _MAX_STARTING
            and len(self._environments) < self._max_concurrency
        ):
            self._start_environment()

    def _begin(self, environment: ExecutionEnvironment, invocation: Invocation) -> None:
        try:
            environment.begin(invocation)
        except Exception as error:
            # Nothing else would answer the caller.
            logger.exception("%s cannot be invoked", self.configuration.name)
            invocation.fail(FunctionError("ServiceException", str(error)).to_json())
            self._idle.append(environment)

    def _start_environment(self) -> None:
        environment = ExecutionEnvironment(
            self.configuration,
            assume_role=self._assume_role,
            became_idle=self.became_idle,
            failed_to_start=self.failed_to_start,
            on_log_line=lambda line: self._on_log_line(self.configuration.name, line),
        )
        self._starting.add(environment)
        task = asyncio.create_task(environment.run(), name=f"{self.configuration.name} environment")
        self._environments[task] = environment

        def ended(task: asyncio.Task[None]) -> None:
            del self._environments[task]
            self._starting.discard(environment)
            if environment in self._idle:
                self._idle.remove(environment)
            if not task.cancelled() and (error := task.exception()):
                logger.error("%s cannot be started", self.configuration.name, exc_info=error)
                self.failed_to_start(FunctionError("ServiceException", str(error)).to_json())
            self._dispatch()

        task.add_done_callback(ended)
