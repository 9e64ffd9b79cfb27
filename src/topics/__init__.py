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
    "topics.poll:Polls",
    "topics.chat:Chat",
    "topics.event:Events",
)


@functools.cache
def registered_topics() -> dict[str, type[Topic[Any]]]:
    """Return all topics, by name."""
    classes: list[type[Topic[Any]]] = [pkgutil.resolve_name(path) for path in _REGISTERED]
    return {topic.name: topic for topic in classes}


def enabled_names(environ: Mapping[str, str]) -> list[str]:
    """Return the names in the variable `TOPICS`, which lists the topics that are on, separated by commas.

    Raise `KeyError` with the name of a missing variable, and `ValueError` for a topic that is not registered.
    """
    names = [name.strip() for name in environ["TOPICS"].split(",")]
    if unknown := [name for name in names if name not in registered_topics()]:
        known = ", ".join(registered_topics())
        raise ValueError(f"TOPICS names {', '.join(unknown)}; there is {known} (see src/topics/__init__.py)")
    return names


def enabled_topics(environ: Mapping[str, str]) -> dict[str, Topic[Any]]:
    """Return the topics that are on, by name, with their settings from the environment.

    Raise as `enabled_names` does.
    """
    return {name: registered_topics()[name](environ) for name in enabled_names(environ)}
