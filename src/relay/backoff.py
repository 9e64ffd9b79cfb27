"""Pauses between attempts."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator


def backoff(first: float, longest: float) -> Iterator[float]:
    """Ever longer pauses, in seconds, and at random, so that not all who wait come back at once."""
    ceiling = first
    while True:
        yield ceiling * random.uniform(0.5, 1)  # noqa: S311 - not for cryptography
        ceiling = min(2 * ceiling, longest)
