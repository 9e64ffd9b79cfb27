"""The SAM CLI, without the settings of the developer who runs the tests."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class SamCli:
    """How to run the SAM CLI: as `[sam.path, ...]` with `sam.environment`."""

    path: Path
    environment: Mapping[str, str]
