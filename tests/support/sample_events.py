"""The sample events under events/."""

from __future__ import annotations

import json
from typing import Any

from tests.support.project import EVENTS


def sample_event(path: str) -> dict[str, Any]:
    """Return a sample event by its path below events/."""
    event: dict[str, Any] = json.loads((EVENTS / path).read_text())
    return event


def sample_paths(folder: str) -> list[str]:
    """Return the paths of a function's sample events, relative to events/."""
    return [f"{folder}/{path.name}" for path in sorted((EVENTS / folder).glob("*.json"))]
