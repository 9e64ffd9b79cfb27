"""The local AWS services alone, for the tests of several folders."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from local.aws.services import AwsServices


@pytest.fixture
async def services(tmp_path: Path) -> AsyncIterator[AwsServices]:
    async with AwsServices(0, tmp_path / "aws.log") as services:
        yield services
