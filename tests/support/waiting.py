"""Wait for what has no event of its own."""

from __future__ import annotations

import time
from collections.abc import Callable

SECONDS = 20
"""How long anything may take."""


def wait_until(is_so: Callable[[], object]) -> None:
    """Look again and again until it is so. Fail after 20 s."""
    deadline = time.monotonic() + SECONDS
    while not is_so():
        assert time.monotonic() < deadline
        time.sleep(0.02)
