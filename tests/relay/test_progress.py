"""Which positions mean that something is missing."""

from __future__ import annotations

import pytest

from relay.message import Position
from relay.progress import Gap, Progress, Restart


def followed(page: int, number: int, *, unbroken: bool) -> Progress:
    progress = Progress(Position(page, number))
    if unbroken:
        progress.confirm()
    return progress


@pytest.mark.parametrize("unbroken", [True, False])
@pytest.mark.parametrize(
    ("to", "missed"),
    [
        (Position(7, 10), None),
        (Position(7, 15), 5),
        (Position(7, 8), 0),
        (Position(8, 3), 3),
        (Position(6, 3), 3),
    ],
)
def test_a_discontinuity_counts_what_is_known_to_be_missing(
    to: Position, missed: int | None, *, unbroken: bool
) -> None:
    progress = followed(7, 10, unbroken=unbroken)
    assert progress.skip_to(to) == (None if missed is None else Gap(to, missed))
    assert progress.last == to


@pytest.mark.parametrize(
    ("quiet", "away", "is_restart"),
    [(0, 0.1, False), (4, 1, False), (60, 61, False), (6, 5, True), (600, 1, True)],
)
def test_a_new_page_is_a_restart_only_if_nothing_can_have_been_published_meanwhile(
    quiet: float, away: float, *, is_restart: bool
) -> None:
    to = Position(8, 0)
    assert followed(7, 10, unbroken=True).skip_to(to) == Restart(to)
    assert followed(7, 10, unbroken=False).skip_to(to) == Gap(to, 0)
    interrupted = followed(7, 10, unbroken=True)
    interrupted.resume(quiet_seconds=quiet, away_seconds=away, idle_seconds=5)
    assert interrupted.skip_to(to) == (Restart(to) if is_restart else Gap(to, 0))


@pytest.mark.parametrize(
    ("message", "found"),
    [
        (Position(7, 11), None),
        (Position(7, 12), Gap(Position(7, 11), 1)),
        (Position(7, 10), None),
        (Position(7, 2), None),
        (Position(8, 1), Restart(Position(8, 0))),
        (Position(8, 3), Gap(Position(8, 2), 2)),
    ],
)
def test_a_message_shows_what_is_missing_before_it(message: Position, found: Gap | Restart | None) -> None:
    progress = followed(7, 10, unbroken=True)
    assert progress.move_to(message) == found
    assert progress.last == message


def test_a_topic_that_was_never_followed_misses_nothing() -> None:
    assert Progress(None).skip_to(Position(7, 100)) is None
    assert Progress(None).move_to(Position(7, 100)) is None


@pytest.mark.parametrize("number", [1, 57])
def test_nothing_is_missing_before_the_first_position_of_a_topic_that_was_quiet_for_long(number: int) -> None:
    progress = Progress(None)
    progress.confirm()
    assert progress.move_to(Position(7, number)) is None
    assert progress.move_to(Position(7, number + 2)) == Gap(Position(7, number + 1), 1)
