"""A Momento without faults and a user, for every test."""

from __future__ import annotations

import uuid
from collections.abc import Iterator

import pytest

from tests.support.momento import Momento


@pytest.fixture(autouse=True)
def _healthy_momento(momento: Momento) -> Iterator[None]:
    yield
    momento.admin("/clear-faults")
    momento.admin("/unblock")


@pytest.fixture
def user() -> str:
    return f"user-{uuid.uuid4()}"
