"""A function: the queue of its invocations, and the execution environments that take from it."""

import asyncio
import logging
import os
from collections import deque
from collections.abc import Callable

from local.lambda_host.declaration import FunctionConfiguration
from local.lambda_host.execution_environment import AssumeRole, ExecutionEnvironment
from local.lambda_host.invocation import FunctionError, Invocation, InvocationResult

logger = logging.getLogger(__name__)

# Starting Python takes a processor for most of a second: more at once only make each other late, while a warm
# environment would have emptied the queue.
_STARTING_AT_ONCE = os.cpu_count() or 1


class ThrottledError(Exception):
    """As many invocations run as are reserved for the function. Nothing has been run."""

    reason = "ReservedFunctionConcurrentInvocationLimitExceeded"
    message = "Rate Exceeded."


class Function:
    """Runs invocations as Lambda does: one at a time in each environment, in more of them as load grows.

    An environment is started when an invocation waits and none is idle, up to `max_concurrency`; from there
    on invocations queue, unless concurrency is reserved: what is beyond that is refused. The environment used
    last is used again first. An environment that fails to start fails the invocation that has waited longest,
    so that a function that cannot start is started once for each invocation and no more.
    """

    def __init__(
        self,
        configuration: FunctionConfiguration,
        max_concurrency: int,
        assume_role: AssumeRole,
        on_log_line: Callable[[str, str], None],
    ) -> None:
        """Run `max_concurrency` environments at most, and no more than are reserved.

        `on_log_line` receives the function's name and each line it logs.
        """
        self.configuration = configuration
        reserved = configuration.reserved_concurrency
        self._max_concurrency = max_concurrency if reserved is None else min(max_concurrency, reserved)
        self._assume_role = assume_role
        self._on_log_line = on_log_line
        self._waiting: deque[Invocation] = deque()
        self._idle: list[ExecutionEnvironment] = []
        self._starting: set[ExecutionEnvironment] = set()
        self._lives: dict[asyncio.Task[None], ExecutionEnvironment] = {}
        self._under_way = 0
        self._stopping = False

    async def invoke(
        self, payload: bytes, *, client_context: str | None = None, qualifier: str | None = None
    ) -> InvocationResult:
        """Run the function with `payload`, a JSON document, and return its result.

        `client_context` is a JSON object. `qualifier` is the version or alias that the caller invokes.
        Raises ThrottledError.
        """
        reserved = self.configuration.reserved_concurrency
        if reserved is not None and self._under_way >= reserved:
            raise ThrottledError
        return await self.invoke_in_turn(payload, client_context=client_context, qualifier=qualifier)

    async def invoke_in_turn(
        self, payload: bytes, *, client_context: str | None = None, qualifier: str | None = None
    ) -> InvocationResult:
        """Invoke the function, but wait where `invoke` is refused, as asynchronous invocations do."""
        configuration = self.configuration
        invocation = Invocation.of(
            payload, client_context, configuration.arn(qualifier), configuration.versions[qualifier]
        )
        self._waiting.append(invocation)
        self._under_way += 1
        try:
            self._hand_out()
            return await invocation.result
        finally:
            self._under_way -= 1

    @property
    def processes(self) -> list[int]:
        """The ids of its processes that run."""
        return [environment.pid for environment in self._lives.values() if environment.pid is not None]

    async def stop(self) -> None:
        """End all environments; what still waits is answered with an error."""
        self._stopping = True
        for life in self._lives:
            life.cancel()
        await asyncio.gather(*self._lives, return_exceptions=True)
        self._hand_out()

    # What an environment reports

    def became_idle(self, environment: ExecutionEnvironment) -> None:
        """Take note that the environment asks for its next invocation."""
        self._starting.discard(environment)
        self._idle.append(environment)
        self._hand_out()

    def failed_to_start(self, error: bytes) -> None:
        """Take note that an environment ended before it asked for anything."""
        if self._waiting:
            self._waiting.popleft().fail(error)

    def _hand_out(self) -> None:
        if self._stopping:
            while self._waiting:
                error = FunctionError("ServiceException", "The local stack is stopping.")
                self._waiting.popleft().fail(error.to_json())
            return
        while self._waiting and self._idle:
            environment = self._idle.pop()
            if environment.is_idle:  # Its process may just have ended.
                self._begin(environment, self._waiting.popleft())
        while (
            len(self._waiting) > len(self._starting)
            and len(self._starting) < _STARTING_AT_ONCE
            and len(self._lives) < self._max_concurrency
        ):
            self._start_environment()

    def _begin(self, environment: ExecutionEnvironment, invocation: Invocation) -> None:
        try:
            environment.begin(invocation)
        except Exception as error:
            # Nothing else would ever answer the caller.
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
        life = asyncio.create_task(environment.live(), name=f"{self.configuration.name} environment")
        self._lives[life] = environment

        def ended(life: asyncio.Task[None]) -> None:
            del self._lives[life]
            self._starting.discard(environment)
            if environment in self._idle:
                self._idle.remove(environment)
            if not life.cancelled() and (error := life.exception()):
                logger.error("%s cannot be started", self.configuration.name, exc_info=error)
                self.failed_to_start(FunctionError("ServiceException", str(error)).to_json())
            self._hand_out()

        life.add_done_callback(ended)
