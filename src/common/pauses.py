"""Pauses between attempts: exponential backoff with jitter."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

# Processes that SnapStart starts from one snapshot share the state of `random`, but not this one's.
_random = random.SystemRandom()


def pause_seconds(attempts: int, first: float, longest: float) -> float:
    """Return how long to pause after a number of attempts, in seconds.

    The pause doubles with each attempt, from `first` up to `longest`. A random share of up to a half is taken
    off, so that callers that failed together do not come back together.
    """
    doublings = min(attempts - 1, 32)  # More would only overflow.
    return min(first * 2.0**doublings, longest) * _random.uniform(0.5, 1)


def pauses(first: float, longest: float) -> Iterator[float]:
    """Yield the pause after the first attempt, after the second, and so on; see `pause_seconds`."""
    attempts = 0
    while True:
        attempts += 1
        yield pause_seconds(attempts, first, longest)
