"""What a disposable token permits, in names of topics and cache keys."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Set as AbstractSet

STATEMENTS_MAX = 20
"""Permission statements that Momento puts into one token at most."""


@dataclass(frozen=True, slots=True)
class Permissions:
    """Permissions in the stack's cache, and nothing else. Combine them with `|`.

    >>> Permissions(publish={"poll"}, read_below={"poll:42:"})
    """

    publish: AbstractSet[str] = frozenset()
    """Topics."""
    subscribe: AbstractSet[str] = frozenset()
    """Topics."""
    subscribe_below: AbstractSet[str] = frozenset()
    """Beginnings of topics' names."""
    read: AbstractSet[str] = frozenset()
    """Cache keys."""
    read_below: AbstractSet[str] = frozenset()
    """Beginnings of cache keys."""

    def __or__(self, other: Permissions) -> Permissions:
        return Permissions(
            self.publish | other.publish,
            self.subscribe | other.subscribe,
            self.subscribe_below | other.subscribe_below,
            self.read | other.read,
            self.read_below | other.read_below,
        )

    @property
    def statements(self) -> int:
        """How many permission statements a token needs for them."""
        return (
            len(self.publish | self.subscribe)
            + len(self.subscribe_below)
            + len(self.read)
            + len(self.read_below)
        )
