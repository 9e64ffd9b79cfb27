"""Child processes, and what they start themselves."""

import asyncio
import os
import signal
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import psutil
import pytest

from local.serving.child_process import ChildProcess, clean_environment

_STARTS_ANOTHER = """
import subprocess, sys, time
detached, seconds = sys.argv[1] == "detached", float(sys.argv[2])
sleep = [sys.executable, "-c", "import time; time.sleep(60)"]
print(subprocess.Popen(sleep, start_new_session=detached).pid, flush=True)
time.sleep(seconds)
"""

Start = Callable[[str, float], Awaitable[tuple[ChildProcess, int]]]


@pytest.fixture
async def start(tmp_path: Path) -> AsyncIterator[Start]:
    """Return what starts a process that starts another, attached or detached, and ends after a time.

    It returns the process, and the id of the other one.
    """
    (tmp_path / "starts_another.py").write_text(_STARTS_ANOTHER)
    started: list[int] = []

    async def start(kind: str, seconds: float) -> tuple[ChildProcess, int]:
        lines: asyncio.Queue[str] = asyncio.Queue()
        process = await ChildProcess.start(
            "starts_another",
            kind,
            str(seconds),
            environment={**clean_environment(), "PYTHONPATH": str(tmp_path)},
            on_output_line=lines.put_nowait,
        )
        started.append(int(await lines.get()))
        return process, started[-1]

    yield start
    for pid in started:
        if psutil.pid_exists(pid):
            os.kill(pid, signal.SIGKILL)


async def test_the_children_of_a_process_end_with_it(start: Start) -> None:
    process, other = await start("attached", 0)
    assert await process.wait() == 0
    async with asyncio.timeout(10):
        while psutil.pid_exists(other):  # noqa: ASYNC110 (what another process does is no event here)
            await asyncio.sleep(0.01)


async def test_stopping_does_not_wait_for_processes_outside_the_group(start: Start) -> None:
    process, other = await start("detached", 60)
    began = time.monotonic()
    await process.stop()
    assert time.monotonic() - began < 10
    assert psutil.pid_exists(other)
