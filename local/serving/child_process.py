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
    """Return the environment that a child starts from: nothing of the developer's accounts and settings."""
    return {
        "PATH": os.environ.get("PATH", os.defpath),
        "LANG": "en_US.UTF-8",
        "TZ": ":UTC",
        "PYTHONUNBUFFERED": "1",
    }


class ChildProcess(asyncio.SubprocessProtocol):
    """A Python module running as `python -m` would run it, in a process group of its own.

    It is of another session than this process, so that Ctrl-C in a terminal reaches only the parent, which
    then ends its children in order. Where the parent has no time to do that (SIGKILL), the child sees its
    standard input end, and ends itself.

    Each line of its output (both streams) goes to a callback as it arrives.
    """

    def __init__(self, on_output_line: Callable[[str], None]) -> None:
        """Use `start`."""
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
        """Run `python -m MODULE ARGUMENTS`; raises OSError where that cannot be started."""
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
        """Its process id, which is its process group's too."""
        return self._transport.get_pid()

    async def wait(self) -> int:
        """Wait until it has ended and its output has been passed on; return its exit code (-N: signal N)."""
        await asyncio.shield(self._exited)
        self._signal(signal.SIGKILL)  # What it may have started itself, and what would keep its output open.
        try:
            async with asyncio.timeout(_SECONDS_FOR_LAST_OUTPUT):
                await asyncio.shield(self._output_ended)
        except TimeoutError:  # Held open by a process that has left the group, and is nobody's to wait for.
            self._transport.close()
            await asyncio.shield(self._output_ended)
        return cast("int", self._transport.get_returncode())

    def kill(self) -> None:
        """End it, and whatever it started, at once."""
        self._signal(signal.SIGKILL)

    async def stop(self) -> None:
        """Ask it to end, insist after some seconds, and wait until it has."""
        self._signal(signal.SIGTERM)
        try:
            async with asyncio.timeout(_SECONDS_TO_END):
                await self.wait()
        except TimeoutError:
            self.kill()
            await self.wait()

    def _signal(self, number: signal.Signals) -> None:
        # macOS answers PermissionError for a group of which only a zombie is left.
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self.pid, number)

    # What asyncio calls

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
