"""The folder of a stack: its lock, its logs, and while it is ready, what it tells others (`stack.json`)."""

import fcntl
import json
import os
from collections.abc import Iterable, Mapping
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Self, TextIO

FACTS_FILE = "stack.json"


class StackRunningError(Exception):
    """Another stack uses the folder. The message says which, where, and what to do."""


class StateDirectory:
    """The folder, held by one stack at a time: the lock ends with its process, however that ends."""

    def __init__(self, path: Path, published: Iterable[str] = ()) -> None:
        """Use the folder at `path`; `published` names what others find there beside `stack.json`."""
        self._path = path
        self.logs = path / "logs"
        self._published = [*published, FACTS_FILE]
        self._lock: TextIO

    def __enter__(self) -> Self:
        """Take the folder, and remove what a stack that was killed has left; raises StackRunningError."""
        self.logs.mkdir(parents=True, exist_ok=True)
        self._lock = (self._path / "lock").open("a+", encoding="utf-8")
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            self._lock.seek(0)
            process = self._lock.read().strip()
            self._lock.close()
            raise StackRunningError(self._running(process)) from None
        self._lock.truncate(0)
        self._lock.write(f"{os.getpid()}\n")
        self._lock.flush()
        self._remove_published()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Remove what was published, and give the folder free."""
        self._remove_published()
        self._lock.close()

    def publish(self, contents: Mapping[str, str]) -> None:
        """Write the published files, by name and `stack.json` last, as it says that the stack is ready.

        Each is written whole or not at all, for its owner's eyes only: there are keys in them.
        """
        for name in self._published:
            written = self._path / f"{name}.new"
            written.unlink(missing_ok=True)
            with os.fdopen(os.open(written, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
                file.write(contents[name])
            written.replace(self._path / name)

    def _remove_published(self) -> None:
        for name in self._published:
            (self._path / name).unlink(missing_ok=True)

    def _running(self, process: str) -> str:
        where = "It is still starting."
        facts_file = self._path / FACTS_FILE
        with suppress(OSError, ValueError, KeyError):
            facts = json.loads(facts_file.read_text(encoding="utf-8"))
            where = (
                f"Token API {facts['token_url']}, webhook {facts['webhook_url']}, "
                f"Momento {facts['momento']['host']}:{facts['momento']['port']}; "
                f"everything else is in {facts_file}."
            )
        return (
            f"A local stack is running already (process {process}). {where}\n"
            "Use it, stop it with Ctrl-C, or start this one with --state-dir and another folder."
        )
