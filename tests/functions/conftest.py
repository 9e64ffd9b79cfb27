"""A Momento without faults for every test."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.support.momento import Momento


@pytest.fixture(autouse=True)
def _healthy_momento(momento: Momento) -> Iterator[None]:
    yield
    momento.admin("/clear-faults")
    momento.admin("/unblock")
