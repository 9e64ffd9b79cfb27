"""Run the local stack in a separate process: `python -m bench.stack STATE_DIR [PARAMETER=VALUE...]`."""

import asyncio
import contextlib
import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from local.serving.child_process import clean_environment
from local.serving.interruption import InterruptedBySignalError, until_interrupted
from local.stack.facts import FACTS_FILE
from local.stack.local_stack import LocalStack
from local.stack.sam_profile import ENVIRONMENT_FILE

ROOT = Path(__file__).parents[1]

_LAUNCHER = ROOT / "local/serving/run_until_parent_ends.py"
_SECONDS_TO_START = 60


class StackError(Exception):
    """The local stack or Momento did not start. The message names its log."""


@dataclass(frozen=True, slots=True)
class RunningStack:
    """A local stack: the content of its `stack.json`, its process id and its state directory."""

    facts: Mapping[str, Any]
    process_id: int
    state_directory: Path

    def function_environments(self) -> Mapping[str, Mapping[str, str]]:
        """Return the environment variables of each function, by logical id."""
        environments: dict[str, dict[str, str]] = json.loads(
            (self.state_directory / ENVIRONMENT_FILE).read_text()
        )
        return environments


@contextlib.contextmanager
def local_stack(state_directory: Path, parameters: Mapping[str, str]) -> Iterator[RunningStack]:
    """Run a local stack with these template parameters. Raise `StackError`."""
    facts_file = state_directory / FACTS_FILE
    facts_file.unlink(missing_ok=True)
    arguments = [str(state_directory), *(f"{name}={value}" for name, value in parameters.items())]
    with _process("bench.stack", arguments, state_directory / "stack.log") as process:
        _wait(process, facts_file.exists, state_directory / "stack.log")
        yield RunningStack(json.loads(facts_file.read_text()), process.pid, state_directory)


@contextlib.contextmanager
def local_momento(api_key: str, cache: str, log: Path) -> Iterator[str]:
    """Run a Momento without webhooks, so that only a function is measured, and yield its `host:port`.

    Raise `StackError`.
    """
    arguments = [
        "--port=0",
        "--web-port=0",
        "--admin-port=0",
        f"--api-key={api_key}",
        f"--create-cache={cache}",
    ]
    with _process("local.momento", arguments, log) as process:
        _wait(process, lambda: "Ready" in log.read_text(), log)
        [address] = [line.split()[-1] for line in log.read_text().splitlines() if line.startswith("gRPC:")]
        yield address


@contextlib.contextmanager
def _process(module: str, arguments: list[str], log: Path) -> Iterator[subprocess.Popen[bytes]]:
    log.parent.mkdir(parents=True, exist_ok=True)
    with (
        log.open("wb") as output,
        # The launcher ends it when its standard input closes, so it ends with this process.
        subprocess.Popen(
            [sys.executable, "-P", str(_LAUNCHER), module, *arguments],
            stdin=subprocess.PIPE,
            stdout=output,
            stderr=subprocess.STDOUT,
            env={**clean_environment(), "PYTHONPATH": str(ROOT)},
            cwd=ROOT,
            start_new_session=True,
        ) as process,
    ):
        try:
            yield process
        finally:
            process.terminate()


def _wait(process: subprocess.Popen[bytes], is_ready: Callable[[], bool], log: Path) -> None:
    give_up = time.monotonic() + _SECONDS_TO_START
    while not is_ready():
        if process.poll() is not None or time.monotonic() > give_up:
            raise StackError(f"A process of the benchmark did not start. See its log: {log}")
        time.sleep(0.05)


async def _serve(state_directory: Path, parameters: Mapping[str, str]) -> None:
    async with LocalStack(state_directory, None, parameters) as stack:
        await stack.ended()


def main() -> int:
    """Serve until a signal comes."""
    parameters = dict(argument.split("=", 1) for argument in sys.argv[2:])
    try:
        asyncio.run(until_interrupted(_serve(Path(sys.argv[1]), parameters)))
    except InterruptedBySignalError:
        return 0
    return 1


if __name__ == "__main__":
    sys.exit(main())
