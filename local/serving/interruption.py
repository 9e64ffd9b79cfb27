"""Work that signals cancel."""

import asyncio
import signal
from collections.abc import Coroutine
from typing import Any, TypeVar

_T = TypeVar("_T")


class InterruptedBySignalError(Exception):
    """A signal cancelled the work, which has cleaned up."""

    def __init__(self, number: int) -> None:
        super().__init__(f"Interrupted by {signal.Signals(number).name}")
        self.exit_code = 128 + number


async def until_interrupted(work: Coroutine[Any, Any, _T]) -> _T:
    """Run `work` until it ends, or until SIGINT, SIGTERM or SIGHUP cancels it.

    Raise InterruptedBySignalError after a signal.
    """
    task = asyncio.create_task(work)
    interrupted_by: list[int] = []

    def interrupt(number: int) -> None:
        if not interrupted_by:  # A second signal must not interrupt the clean-up.
            interrupted_by.append(number)
            task.cancel()

    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        asyncio.get_running_loop().add_signal_handler(number, interrupt, number)
    try:
        return await task
    except asyncio.CancelledError:
        if not interrupted_by:
            raise
        raise InterruptedBySignalError(interrupted_by[0]) from None
