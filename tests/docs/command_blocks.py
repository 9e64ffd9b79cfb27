"""The command blocks of a document, and a terminal that runs them as a reader does."""

from __future__ import annotations

import itertools
import os
import re
import shutil
import signal
import subprocess
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

from tests.support.project import ROOT

_FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
# The last line that a command shows before it serves until Ctrl-C.
_READY = {
    "make run": "Try, in another terminal",
    ".venv/bin/python -m local.momento": "Ready: Ctrl-C stops",
}
# What differs each time in the output of `make run`: seconds, milliseconds, a random number.
_VARYING = re.compile(r"\.\.\.|\d+\.\d s\b|\d+ │|\([0-9a-f]{6}\)")
_MARK = "--- the block has ended with"


@dataclass(frozen=True)
class Block:
    """A block of shell commands, and the output that the document shows for them."""

    document: str
    line: int
    commands: str
    output: str

    def __str__(self) -> str:
        return f"{self.document}:{self.line}"

    @property
    def ready(self) -> str | None:
        """Return what the block shows once it serves, or None if it ends by itself."""
        return next((text for command, text in _READY.items() if self.commands.startswith(command)), None)

    def missing_lines(self, shown: str) -> list[str]:
        """Return the lines of the documented output that are not in `shown`."""
        shown = re.sub(r"[^\S\n]+", " ", shown)
        lines = [line for line in self.output.splitlines() if re.search(r"\w", line)]
        return [line for line in lines if not re.search(_pattern(line), shown)]


@dataclass(frozen=True)
class Result:
    """How a block has ended: 0 means that every command succeeded, or that the block serves."""

    status: int
    shown: str


def command_blocks(document: str) -> list[Block]:
    """Return the `sh` blocks of a document. A `text` block right after one is its output."""
    text = (ROOT / document).read_text(encoding="utf-8")
    fences = list(_FENCE.finditer(text))
    blocks = []
    for fence, following in itertools.zip_longest(fences, fences[1:]):
        if fence[1] == "sh":
            output = following[2] if following and following[1] == "text" else ""
            blocks.append(Block(document, text.count("\n", 0, fence.start()) + 1, fence[2], output))
    return blocks


def _pattern(line: str) -> str:
    literals = _VARYING.split(re.sub(r"\s+", " ", line.strip()))
    return ".*".join(map(re.escape, literals))


class Reader:
    """Somebody who works through a document, with one terminal for servers and one for everything else.

    A command that serves runs until the next one that serves.
    """

    def __init__(self, blocks: Sequence[Block], folder: Path, network: Sequence[str]) -> None:
        """Run the blocks in `folder`. `network` is a command that runs another one in a network."""
        self._blocks = blocks
        self._folder = folder
        self._network = network
        self._results: dict[Block, Result] = {}
        self._server = ExitStack()
        self._terminal = _Terminal([*network, "bash"], folder)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.close()
        self._terminal.close()

    def result(self, block: Block) -> Result:
        """Return how a block has ended, after it and all before it have run."""
        for one in self._blocks[: self._blocks.index(block) + 1]:
            if one not in self._results:
                self._results[one] = self._run(one)
        return self._results[block]

    def _run(self, block: Block) -> Result:
        if block.ready is None:
            return self._terminal.run(block.commands)
        self._server.close()
        command = [*self._network, "bash", "-c", block.commands]
        return self._server.enter_context(_serving(command, self._folder, block.ready))


class _Terminal:
    """A shell that keeps its variables between blocks."""

    def __init__(self, command: Sequence[str], folder: Path) -> None:
        self._block = folder / "block.sh"
        self._shell = subprocess.Popen(
            command,
            cwd=folder,
            env=_environment(),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
        # A variable that is not set ends the shell, and so fails the block.
        self._send("set -uE -o pipefail; trap 'failed=$?' ERR")

    def run(self, commands: str) -> Result:
        """Return whether all commands succeeded, and what they have shown."""
        assert self._shell.stdout is not None
        self._block.write_text(commands, encoding="utf-8")
        self._send(f"failed=0; source ./{self._block.name} </dev/null; printf '\\n{_MARK} %s\\n' $failed")
        shown: list[str] = []
        for line in self._shell.stdout:
            if line.startswith(_MARK):
                return Result(int(line.removeprefix(_MARK)), "".join(shown))
            shown.append(line)
        return Result(self._shell.wait() or 1, "".join(shown))

    def close(self) -> None:
        """End the shell."""
        self._shell.kill()
        self._shell.communicate()

    def _send(self, command: str) -> None:
        assert self._shell.stdin is not None
        if self._shell.poll() is None:
            self._shell.stdin.write(command + "\n")
            self._shell.stdin.flush()


@contextmanager
def _serving(command: Sequence[str], folder: Path, ready: str) -> Iterator[Result]:
    """Start a server, and stop it as Ctrl-C does. Inside, it is ready or has failed."""
    shown: list[str] = []
    is_ready = threading.Event()

    def read() -> None:
        assert server.stdout is not None
        for line in server.stdout:
            shown.append(line)
            if ready in line:
                is_ready.set()
        is_ready.set()

    with subprocess.Popen(
        command,
        cwd=folder,
        env=_environment(),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    ) as server:
        reader = threading.Thread(target=read)
        reader.start()
        try:
            is_ready.wait()
            has_failed = not any(ready in line for line in shown)
            yield Result(server.wait() or 1 if has_failed else 0, "".join(shown))
        finally:
            if server.poll() is None:
                os.killpg(server.pid, signal.SIGINT)
            reader.join()


def _environment() -> Mapping[str, str]:
    """Return this process's environment without what would change the meaning of a reader's command."""
    own = ("AWS_", "MOMENTO_", "MAKE", "MFLAGS", "PYTEST_")
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(own)}
    return {
        **inherited,
        "AWS_CONFIG_FILE": os.devnull,
        "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
        "npm_config_offline": "true",  # A page that is not built yet is not built here either.
    }


def copy_project(folder: Path) -> None:
    """Copy the project, as a clone that is set up and whose page is built if it is built here."""
    generated = shutil.ignore_patterns(
        ".git", ".venv", ".local", ".aws-sam", ".hypothesis", ".*_cache", "__pycache__", "node_modules"
    )
    shutil.copytree(ROOT, folder, symlinks=True, ignore=generated)
    for name in (".venv", "web/node_modules"):
        if (ROOT / name).exists():
            (folder / name).symlink_to(ROOT / name)
