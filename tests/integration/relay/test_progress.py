"""Which positions mean that something is missing."""

from __future__ import annotations

import pytest

from relay.progress import Gap, Position, Progress, Restart


def followed(page: int, number: int, *, unbroken: bool) -> Progress:
    progress = Progress(Position(page, number))
    if unbroken:
        progress.stand()
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


def test_a_new_page_from_its_beginning_is_a_restart_only_for_who_was_there() -> None:
    to = Position(8, 0)
    assert followed(7, 10, unbroken=True).skip_to(to) == Restart(to)
    assert followed(7, 10, unbroken=False).skip_to(to) == Gap(to, 0)
    interrupted = followed(7, 10, unbroken=True)
    interrupted.break_off()
    assert interrupted.skip_to(to) == Gap(to, 0)


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


def test_nothing_is_missing_of_what_was_never_followed() -> None:
    assert Progress(None).skip_to(Position(7, 100)) is None
    assert Progress(None).move_to(Position(7, 100)) is None


def test_once_it_was_followed_something_can_be() -> None:
    for begin in (Progress.stand, Progress.break_off):
        progress = Progress(None)
        begin(progress)
        assert progress.skip_to(Position(7, 3)) == Gap(Position(7, 3), 3)


def test_the_first_page_is_not_a_new_one() -> None:
    progress = Progress(None)
    progress.stand()
    assert progress.move_to(Position(7, 1)) is None
