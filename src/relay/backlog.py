"""What of a topic is in hand: read, but not dealt with."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass
from threading import Lock
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from relay.message import Position
    from relay.progress import Gap, Restart


@dataclass(frozen=True, slots=True)
class Bookmark:
    """The last position of a topic before which everything is dealt with, and how quiet the topic was."""

    position: Position
    quiet_from: float
    quiet_until: float
    """No message came between these epoch seconds, while the topic was read without a break."""


class Backlog:
    """The places of a topic's messages that are in hand, in the order in which they were read.

    One thread reads, others deal with the messages, in any order. Only what is in hand takes memory, however
    long the first of it has been waiting.
    """

    def __init__(self, last: Position | None, report: Callable[[Gap | Restart], None]) -> None:
        """`last` is where reading begins. `report` is told of gaps when all before them is dealt with."""
        self._read = last
        self._report = report
        self._lock = Lock()
        self._count = 0
        self._waiting: OrderedDict[int, tuple[Position | None, Gap | Restart | None]] = OrderedDict()

    def add(self, position: Position) -> int:
        """Note that a message is in hand. Return the number to remove it by."""
        return self._append(position, None)

    def add_finding(self, finding: Gap | Restart) -> None:
        """Note what was found between two messages."""
        self._append(finding.position, finding)
        self._settle()

    def pass_over(self, position: Position) -> None:
        """Note a message that needs nothing done."""
        with self._lock:
            self._count += 1
            self._read = position

    def count_after(self, number: int) -> int:
        """Return how many messages were read after the one with this number."""
        return self._count - number

    def remove(self, number: int) -> None:
        """Note that a message is dealt with."""
        with self._lock:
            del self._waiting[number]
        self._settle()

    @property
    def is_empty(self) -> bool:
        """Return whether all that was read is dealt with."""
        return not self._waiting

    @property
    def position(self) -> Position | None:
        """Return the last position before which everything is dealt with, or None if there is none yet."""
        with self._lock:
            for before, _ in self._waiting.values():
                return before
            return self._read

    def _append(self, position: Position, finding: Gap | Restart | None) -> int:
        with self._lock:
            self._count += 1
            self._waiting[self._count] = (self._read, finding)
            self._read = position
            return self._count

    def _settle(self) -> None:
        """Report the findings before which nothing is in hand any more."""
        with self._lock:
            while self._waiting:
                number, (_, finding) = next(iter(self._waiting.items()))
                if finding is None:
                    return
                del self._waiting[number]
                self._report(finding)
