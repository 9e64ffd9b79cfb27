"""What tells two versions of the relay apart: their settings and their code."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from relay.settings import Durations

if TYPE_CHECKING:
    from relay.settings import Settings

_ROOT = Path(__file__).parents[1]
_FOLDERS = ("aws_access", "common", "momento_access", "relay")


def relay_version(settings: Settings) -> str:
    """Return a hash of the settings and of the project's code that the relay runs."""
    version = hashlib.sha256(repr(replace(settings, durations=Durations())).encode())
    files = [path for folder in _FOLDERS for path in sorted((_ROOT / folder).glob("*.py"))]
    for path in (*files, _ROOT / "requirements.txt"):
        if path.exists():
            version.update(path.read_bytes())
    return version.hexdigest()
