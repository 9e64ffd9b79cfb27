"""SAM's commands, run as a user of this repository runs them: what they need stands in samconfig.toml."""

import asyncio
import json
import os
import re
import signal
import sys
from asyncio.subprocess import PIPE
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, cast

_ROOT = Path(__file__).parents[2]
_PROFILE = ("--config-env", "local")
_SECONDS_FOR_COMMAND = 300
_LAST_LINES = 30
_TIMED_OUT = "timed out after"
_SERVING = re.compile(r"Running on (http://\S+)")


class SamError(Exception):
    """A command failed. The message says which, and has the end of its output."""


class FunctionTimedOutError(SamError):
    """A function had not answered when its timeout had passed, which SAM applies as Lambda does."""


async def build() -> None:
    """Build the functions for this machine; raises SamError."""
    await _run("build")


async def invoke(function: str, event: Path) -> dict[str, Any]:
    """Invoke a function in a container, and return its answer; raises SamError where there is none."""
    output, errors = await _run("local", "invoke", function, "--event", str(event))
    try:
        answer: dict[str, Any] = json.loads(output)
    except ValueError:
        kind = FunctionTimedOutError if _TIMED_OUT in errors else SamError
        raise kind(f"{function} did not answer:\n{_end(errors)}") from None
    return answer


@asynccontextmanager
async def start_api() -> AsyncIterator[str]:
    """Serve the template's HTTP API inside, at the URL that is yielded; raises SamError."""
    process = await _start("local", "start-api")
    try:
        output = ""
        async with asyncio.timeout(_SECONDS_FOR_COMMAND):
            while not (serving := _SERVING.search(output)):
                if not (line := await cast("asyncio.StreamReader", process.stderr).readline()):
                    raise SamError(f"sam local start-api failed:\n{output}")
                output += line.decode()
        yield serving[1]
    finally:
        if process.returncode is None:
            process.send_signal(signal.SIGINT)  # It removes its containers then.
        await process.communicate()


async def _run(*command: str) -> tuple[str, str]:
    """Run a command, and return its output and what it wrote to standard error."""
    process = await _start(*command)
    try:
        async with asyncio.timeout(_SECONDS_FOR_COMMAND):
            output, errors = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
    if process.returncode:
        raise SamError(f"sam {' '.join(command)} failed:\n{_end(errors.decode())}")
    return output.decode(), errors.decode()


def _end(text: str) -> str:
    return "\n".join(text.splitlines()[-_LAST_LINES:])


async def _start(*command: str) -> asyncio.subprocess.Process:
    folder = Path(sys.executable).parent
    return await asyncio.create_subprocess_exec(
        folder / "sam",
        *command,
        *_PROFILE,
        cwd=_ROOT,
        env={
            **os.environ,
            "PATH": f"{folder}{os.pathsep}{os.environ.get('PATH', os.defpath)}",  # `sam build` runs uv.
            "SAM_CLI_TELEMETRY": "0",
        },
        stdout=PIPE,
        stderr=PIPE,
    )
