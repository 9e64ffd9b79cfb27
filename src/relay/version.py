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
    # Without addresses, because the same stack may be reached by others, as from a container.
    without_addresses = replace(
        settings,
        momento=replace(settings.momento, local=""),
        webhook_url="",
        dead_letter_queue_url="",
        spill_queue_url="",
        durations=Durations(),
    )
    version = hashlib.sha256(repr(without_addresses).encode())
    files = [path for folder in _FOLDERS for path in sorted((_ROOT / folder).glob("*.py"))]
    for path in (*files, _ROOT / "requirements.txt"):
        if path.exists():
            version.update(path.read_bytes())
    return version.hexdigest()
