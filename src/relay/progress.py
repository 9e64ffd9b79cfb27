"""How far a topic was read, and what is missing in between."""

from __future__ import annotations

from dataclasses import dataclass

from relay.message import Position


@dataclass(frozen=True, slots=True)
class Restart:
    """The topic's numbers have started again; nothing is missing."""

    position: Position


@dataclass(frozen=True, slots=True)
class Gap:
    """Momento did not send some messages up to `position`: `missed` at least."""

    position: Position
    missed: int


class Progress:
    """Follows the positions that a topic's streams bring."""

    def __init__(self, last: Position | None) -> None:
        """`last` is the last position that was read, or None if the topic was never followed.

        Then nothing can be missing before the first position, whatever its number is.
        """
        self._last = last
        self._is_unbroken = False

    @property
    def last(self) -> Position | None:
        """Return the last position that was read."""
        return self._last

    def confirm(self) -> None:
        """Note that the stream brings everything that is published from now on."""
        self._is_unbroken = True

    def resume(self, *, quiet_seconds: float, away_seconds: float, idle_seconds: float) -> None:
        """Note that a stream begins, `away_seconds` after the one before it has ended.

        Momento restarts the numbers of a topic that was idle for long. Before the break, the topic was quiet
        for `quiet_seconds` and did not restart. If it restarts after a break that is shorter than that,
        nothing was published during the break, because a message would have kept it from being idle.
        A topic that was quiet for less than `idle_seconds` is not idle.
        """
        self._is_unbroken = quiet_seconds >= idle_seconds and away_seconds < quiet_seconds

    def move_to(self, message: Position) -> Gap | Restart | None:
        """Go on to a message. Return what is found to be missing before it."""
        before = Position(message.page, message.number - 1)
        found = self.skip_to(before) if self._last is None or before > self._last else None
        self._last = message
        return found

    def skip_to(self, position: Position) -> Gap | Restart | None:
        """Go on to a position that messages follow. Return what that means."""
        last, self._last = self._last, position
        if last is None or position == last:
            return None
        if self._is_unbroken and position.page > last.page and position.number == 0:
            return Restart(position)
        missed = position.number - last.number if position.page == last.page else position.number
        return Gap(position, max(missed, 0))
