"""What the stack takes from the functions' code: the topics of the project, and what an id is."""

import sys
from pathlib import Path

_SOURCE = Path(__file__).parents[2] / "src"


def topic_names() -> list[str]:
    """Return the names of all registered topics, in the order of the registry."""
    _find_source()
    from topics import registered_topics  # noqa: PLC0415 - needs the path above

    return list(registered_topics())


def parse_id(what: str, value: object) -> str:
    """Return an id of a poll or room as the functions take it. Raise ValueError, which calls it `what`."""
    _find_source()
    from common.names import parse_id as parse  # noqa: PLC0415 - needs the path above

    return parse(what, value)


def _find_source() -> None:
    if str(_SOURCE) not in sys.path:
        sys.path.append(str(_SOURCE))
