"""Pauses between attempts: they double, up to a limit, and no two callers keep in step."""

from __future__ import annotations

import itertools

import pytest

from common.pauses import pause_seconds, pauses


@pytest.mark.parametrize(
    ("attempts", "longest"), [(1, 0.1), (2, 0.2), (3, 0.4), (6, 2.0), (33, 2.0), (2000, 2.0)]
)
def test_a_pause_doubles_up_to_the_longest(attempts: int, longest: float) -> None:
    drawn = [pause_seconds(attempts, 0.1, 2.0) for _ in range(300)]
    assert longest / 2 <= min(drawn) < longest * 0.6
    assert longest * 0.9 < max(drawn) <= longest


def test_pauses_begin_with_the_first() -> None:
    longest = [1, 2, 4, 8, 16, 32, 60, 60]
    drawn = list(itertools.islice(pauses(1, 60), len(longest)))
    assert all(most / 2 <= pause <= most for pause, most in zip(drawn, longest, strict=True))


def test_pauses_grow_for_more_than_a_day_of_attempts() -> None:
    assert pause_seconds(30, 1e-9, 60) == pytest.approx(0.4, rel=0.5)
