"""What a test does if something that it needs is not installed."""

from __future__ import annotations

import os
from typing import NoReturn

import pytest


def cannot_run(reason: str, command: str) -> NoReturn:
    """Skip the test and say what to run first. In CI, where nobody reads why tests are skipped, fail."""
    message = f"{reason}. Run: {command}"
    if os.environ.get("CI") == "true":
        pytest.fail(message, pytrace=False)
    pytest.skip(message)
