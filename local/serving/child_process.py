"""Child processes that never outlive this one."""

import asyncio
import contextlib
import os
import signal
import sys
from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from typing import Self, cast

_LAUNCHER = Path(__file__).with_name("run_until_parent_ends.py")
_SECONDS_TO_END = 3.0
_SECONDS_FOR_LAST_OUTPUT = 1.0


def clean_environment() -> dict[str, str]:
    """Return environment variables for a child, without the developer's accounts and settings."""
    return {
        "PATH": os.environ.get("PATH", os.defpath),
        "LANG": "en_US.UTF-8",
        "TZ": ":UTC",
        "PYTHONUNBUFFERED": "1",
    }


class ChildProcess(asyncio.SubprocessProtocol):
    """A Python module that runs in a child process, as with `python -m`.

    The child has its own session and process group, so Ctrl-C in a terminal reaches only the parent, which
    then stops its children. If the parent cannot do that (SIGKILL), the child's standard input closes, and
    the child ends itself.

    Each line of its standard output and standard error is passed to a callback.
    """

    def __init__(self, on_output_line: Callable[[str], None]) -> None:
        """Do not call this: use `start`."""
        loop = asyncio.get_running_loop()
        self._on_output_line = on_output_line
        self._unfinished_line = bytearray()
        self._exited: asyncio.Future[None] = loop.create_future()
        self._output_ended: asyncio.Future[None] = loop.create_future()
        self._transport: asyncio.SubprocessTransport

    @classmethod
    async def start(
        cls,
        module: str,
        *arguments: str,
        environment: Mapping[str, str],
        on_output_line: Callable[[str], None],
        pass_fds: Collection[int] = (),
    ) -> Self:
        """Run `python -m MODULE ARGUMENTS`. Raise OSError if it cannot be started."""
        _, protocol = await asyncio.get_running_loop().subprocess_exec(
            lambda: cls(on_output_line),
            *(sys.executable, "-P", str(_LAUNCHER), module, *arguments),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
            env=environment,
            start_new_session=True,
            pass_fds=pass_fds,
        )
        return protocol

    @property
    def pid(self) -> int:
        """Return its process id, which is also the id of its process group."""
        return self._transport.get_pid()

    async def wait(self) -> int:
        """Wait for its end and its last output. Return its exit code (-N for signal N)."""
        await asyncio.shield(self._exited)
        self._signal(signal.SIGKILL)  # Its own children would keep its output open.
        try:
            async with asyncio.timeout(_SECONDS_FOR_LAST_OUTPUT):
                await asyncio.shield(self._output_ended)
        except TimeoutError:  # A process that left the group keeps the output open: do not wait for it.
            self._transport.close()
            await asyncio.shield(self._output_ended)
        return cast("int", self._transport.get_returncode())

    def kill(self) -> None:
        """Kill it and its children."""
        self._signal(signal.SIGKILL)

    async def stop(self) -> None:
        """Terminate it, kill it after some seconds, and wait for its end."""
        self._signal(signal.SIGTERM)
        try:
            async with asyncio.timeout(_SECONDS_TO_END):
                await self.wait()
        except TimeoutError:
            self.kill()
            await self.wait()

    def _signal(self, number: signal.Signals) -> None:
        # macOS raises PermissionError if only a zombie is left in the group.
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self.pid, number)

    # Called by asyncio

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.SubprocessTransport", transport)

    def pipe_data_received(self, fd: int, data: bytes) -> None:  # noqa: ARG002
        *lines, rest = (self._unfinished_line + data).split(b"\n")
        for line in lines:
            self._on_output_line(line.decode("utf-8", "replace"))
        self._unfinished_line = rest

    def process_exited(self) -> None:
        self._exited.set_result(None)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002
        if self._unfinished_line:
            self._on_output_line(self._unfinished_line.decode("utf-8", "replace"))
        self._output_ended.set_result(None)
