"""The topics of the project, from the functions' registry."""

import sys
from pathlib import Path

_SOURCE = Path(__file__).parents[2] / "src"


def topic_names() -> list[str]:
    """Return the names of all registered topics, in the order of the registry."""
    if str(_SOURCE) not in sys.path:
        sys.path.append(str(_SOURCE))
    from topics import registered_topics  # noqa: PLC0415 - needs the path above

    return list(registered_topics())
