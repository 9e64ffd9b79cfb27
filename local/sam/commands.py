"""SAM's commands, run as users run them, with their settings in samconfig.toml."""

import asyncio
import json
import os
import re
import signal
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, cast

_ROOT = Path(__file__).parents[2]
_SECONDS_FOR_COMMAND = 300
_SECONDS_TO_END = 15
_LAST_LINES = 30
_TIMED_OUT = "timed out after"
_SERVING = re.compile(r"Running on (http://\S+)")


class SamError(Exception):
    """A command failed. The message has the command and its last output."""


class FunctionTimedOutError(SamError):
    """A function did not answer within its timeout, which SAM enforces as Lambda does."""


async def build() -> None:
    """Build the functions for this machine. Raise SamError."""
    await _run("build", "--config-env", "local")


async def invoke(function: str, event: Path) -> Any:
    """Invoke a function in a container, and return its answer. Raise SamError if there is no answer."""
    output, errors = await _run("local", "invoke", function, "--event", str(event))
    try:
        return json.loads(output)
    except ValueError:
        kind = FunctionTimedOutError if _TIMED_OUT in errors else SamError
        raise kind(f"{function} did not answer:\n{_end(errors)}") from None


@asynccontextmanager
async def start_api() -> AsyncIterator[str]:
    """Serve the template's HTTP API, and yield its URL. Raise SamError."""
    async with _started("local", "start-api") as process:
        output = ""
        while not (serving := _SERVING.search(output)):
            if not (line := await cast("asyncio.StreamReader", process.stderr).readline()):
                raise SamError(f"sam local start-api failed:\n{_end(output)}")
            output += line.decode()
        yield serving[1]


async def _run(*command: str) -> tuple[str, str]:
    """Run a command, and return its standard output and standard error. Raise SamError."""
    async with _started(*command) as process:
        output, errors = await process.communicate()
    if process.returncode:
        raise SamError(f"sam {' '.join(command)} failed:\n{_end(errors.decode())}")
    return output.decode(), errors.decode()


@asynccontextmanager
async def _started(*command: str) -> AsyncIterator[Process]:
    """Run a command with a time limit. At the end, stop it and its containers. Raise SamError."""
    folder = Path(sys.executable).parent
    process = await asyncio.create_subprocess_exec(
        folder / "sam",
        *command,
        cwd=_ROOT,
        env={
            **os.environ,
            "PATH": f"{folder}{os.pathsep}{os.environ.get('PATH', os.defpath)}",  # `sam build` runs uv.
            "SAM_CLI_TELEMETRY": "0",
        },
        stdout=PIPE,
        stderr=PIPE,
        start_new_session=True,  # So Ctrl-C sends it one SIGINT, ours: a second one would abort its clean-up.
    )
    try:
        async with asyncio.timeout(_SECONDS_FOR_COMMAND):
            yield process
    except TimeoutError:
        raise SamError(f"sam {' '.join(command)} took more than {_SECONDS_FOR_COMMAND} s") from None
    finally:
        await _end_process(process)


async def _end_process(process: Process) -> None:
    if process.returncode is None:
        process.send_signal(signal.SIGINT)  # SIGINT makes it remove its containers.
        try:
            async with asyncio.timeout(_SECONDS_TO_END):
                await process.communicate()
        except TimeoutError:
            process.kill()
    await process.wait()


def _end(text: str) -> str:
    return "\n".join(text.splitlines()[-_LAST_LINES:])
