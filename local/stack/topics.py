"""The topics that ship with the project, from the same registry that the functions use."""

import sys
from pathlib import Path

_SOURCE = Path(__file__).parents[2] / "src"


def topic_names() -> list[str]:
    """Return the names of all registered topics, in the order of the registry."""
    if str(_SOURCE) not in sys.path:
        sys.path.append(str(_SOURCE))
    from topics import registered_topics  # noqa: PLC0415 - where the functions find it, not Python by itself

    return list(registered_topics())
