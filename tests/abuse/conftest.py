"""A running stack, shared by the tests of this folder."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.support.running_stack import UNTHROTTLED, Stack, running_stack


@pytest.fixture(scope="session")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """Start a stack whose token API does not throttle, because throttling would hide its other answers."""
    with running_stack(tmp_path_factory.mktemp("stack"), *UNTHROTTLED) as stack:
        yield stack
