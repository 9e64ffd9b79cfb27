"""The state directory of a stack: a lock, logs and, while the stack is ready, `stack.json`."""

import fcntl
import json
import os
from collections.abc import Iterable, Mapping
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Self, TextIO

from local.stack.facts import FACTS_FILE


class StackRunningError(Exception):
    """Another stack uses the state directory. The message has its addresses, and says what to do."""


class StateDirectory:
    """A state directory, which one stack at a time can lock. The lock ends with the stack's process."""

    def __init__(self, path: Path, published: Iterable[str] = ()) -> None:
        """Use the folder at `path`. `published` has the names of files to publish besides `stack.json`."""
        self._path = path
        self.logs = path / "logs"
        self._published = [*published, FACTS_FILE]
        self._lock: TextIO

    def __enter__(self) -> Self:
        """Lock the folder, and remove files that a killed stack left. Raise StackRunningError."""
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
        """Remove the published files, and unlock the folder."""
        self._remove_published()
        self._lock.close()

    def publish(self, contents: Mapping[str, str]) -> None:
        """Write the published files, with `stack.json` last, because it shows that the stack is ready.

        Each file is replaced atomically, and only its owner can read it, because it may contain keys.
        """
        for name in self._published:
            new_file = self._path / f"{name}.new"
            new_file.unlink(missing_ok=True)
            with os.fdopen(os.open(new_file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
                file.write(contents[name])
            new_file.replace(self._path / name)

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
            "Use it, stop it with Ctrl-C, or start another one with --state-dir and another folder."
        )
