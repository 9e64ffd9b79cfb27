"""How far a topic was read, and what is missing in between."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, order=True, slots=True)
class Position:
    """A place in a topic. Numbers count up from 1 on a page; each time they start again on a larger page."""

    page: int
    number: int


@dataclass(frozen=True, slots=True)
class Restart:
    """The topic's numbers have started again; nothing is missing."""

    position: Position


@dataclass(frozen=True, slots=True)
class Gap:
    """Momento did not send what stands before and at `position`: `missed` messages at least."""

    position: Position
    missed: int


# To resume after it is to begin with what Momento still holds of the present page, which page 0 stands for.
_BEGINNING = Position(0, 0)


class Progress:
    """Follows the positions that a topic's streams bring."""

    def __init__(self, last: Position | None) -> None:
        """`last`: the position already dealt with; None where the topic was never followed."""
        self.last = last or _BEGINNING
        self._may_miss = last is not None
        self._is_unbroken = False

    def stand(self) -> None:
        """Says that a stream has stood for a while, so that it brings all that is published."""
        self._may_miss = True
        self._is_unbroken = True

    def break_off(self) -> None:
        """Says that a stream has ended: until the next one stands, anything can be missing."""
        self._may_miss = True
        self._is_unbroken = False

    def move_to(self, message: Position) -> Gap | Restart | None:
        """Goes on to a message; returns what has come to light just before it."""
        before = Position(message.page, message.number - 1)
        found = self.skip_to(before) if before > self.last else None
        self.last = message
        return found

    def skip_to(self, position: Position) -> Gap | Restart | None:
        """Goes on to a position after which messages follow; returns what that means."""
        last, self.last = self.last, position
        is_same_page = last.page in {position.page, _BEGINNING.page}
        if not self._may_miss or (is_same_page and position.number == last.number):
            return None
        if self._is_unbroken and position.page > last.page and position.number == 0:
            return Restart(position)
        missed = position.number - last.number if is_same_page else position.number
        return Gap(position, max(missed, 0))
