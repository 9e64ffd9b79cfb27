"""The topics: one file for each kind of message, and the list of them."""

from __future__ import annotations

import functools
import pkgutil
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

    from topics.topic import Topic

_REGISTERED = (
    "topics.comment:Comments",
)  # fmt: skip


@functools.cache
def registered_topics() -> dict[str, type[Topic[Any]]]:
    """Return all topics, by name."""
    classes: list[type[Topic[Any]]] = [pkgutil.resolve_name(path) for path in _REGISTERED]
    return {topic.name: topic for topic in classes}


def enabled_topics(environ: Mapping[str, str]) -> dict[str, Topic[Any]]:
    """Return the topics that are listed in the variable `TOPICS`, by name and in that order.

    Raise `KeyError` with the name of a missing variable, and `ValueError` for a topic that is not registered.
    """
    registered = registered_topics()
    names = [name.strip() for name in environ["TOPICS"].split(",")]
    if unknown := [name for name in names if name not in registered]:
        known = ", ".join(registered)
        raise ValueError(f"TOPICS names {', '.join(unknown)}; there is {known} (see src/topics/__init__.py)")
    return {name: registered[name](environ) for name in names}
