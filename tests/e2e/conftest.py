"""A running stack, shared by the tests of this folder."""

from __future__ import annotations

import uuid
from collections.abc import Iterator

import pytest

from tests.support.running_stack import Stack, running_stack


@pytest.fixture(scope="session")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    with running_stack(tmp_path_factory.mktemp("stack")) as stack:
        yield stack


@pytest.fixture
def course() -> str:
    return f"course-{uuid.uuid4()}"


@pytest.fixture
def auth_token(stack: Stack, course: str) -> str:
    """Return a token of taylor's, who may read the course."""
    token: str = stack.token(stack.jwt("taylor"), {"courseIds": [course]}).json["authToken"]
    return token
