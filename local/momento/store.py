"""The content of caches: items of five types under binary keys, each with a time to live."""

import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TypeVar

import grpc

from local.momento.errors import MomentoError, cache_not_found, failed_precondition
from local.momento.limits import check_element_size, check_item_size, check_ttl


class Dictionary(dict[bytes, bytes]):
    """Values by field."""


class Set(set[bytes]):
    """Distinct elements."""


class List(list[bytes]):
    """Elements in order, from the front."""


class SortedSet(dict[bytes, float]):
    """Scores by element; see `ranked` for the order."""

    def ranked(self, *, descending: bool) -> list[tuple[bytes, float]]:
        """Return elements and scores, ordered by score. Equal scores are ordered by the element's bytes."""
        return sorted(self.items(), key=lambda element: (element[1], element[0]), reverse=descending)


Value = bytes | Dictionary | Set | List | SortedSet
V = TypeVar("V", bytes, Dictionary, Set, List, SortedSet)

_SCORE_BYTES = 8


def _check_size(key: bytes, value: Value) -> None:
    """Raise RESOURCE_EXHAUSTED if an item, or an element of it, exceeds Momento's limits."""
    if isinstance(value, bytes):
        check_item_size(len(key) + len(value))
        return
    sizes = _element_sizes(value)
    check_element_size(max(sizes))
    check_item_size(len(key) + sum(sizes))


def _element_sizes(collection: Dictionary | Set | List | SortedSet) -> list[int]:
    match collection:
        case Dictionary():
            return [len(field) + len(value) for field, value in collection.items()]
        case SortedSet():
            return [len(element) + _SCORE_BYTES for element in collection]
        case _:
            return [len(element) for element in collection]


@dataclass(slots=True)
class _Item:
    value: Value
    expires_at: float

    def remaining_seconds(self) -> float:
        return self.expires_at - time.monotonic()


class Cache:
    """The items of one cache. An expired item is removed by the next access or sweep."""

    def __init__(self) -> None:
        self._items: dict[bytes, _Item] = {}

    def get(self, key: bytes) -> Value | None:
        """Return the unexpired value under `key`, of any type, or None."""
        item = self._unexpired(key)
        return None if item is None else item.value

    def find(self, key: bytes, kind: type[V]) -> V | None:
        """Return the unexpired value under `key`, or None. Raise FAILED_PRECONDITION if it is not a `kind`.

        Do not change a collection in place: create a new one and `store` it.
        """
        value = self.get(key)
        if value is None or isinstance(value, kind):
            return value
        raise failed_precondition(
            f"Operation against a key of the wrong type: {type(value).__name__}, not {kind.__name__}"
        )

    def store(
        self, key: bytes, value: Value, ttl_milliseconds: int | None = None, *, refresh_ttl: bool = True
    ) -> None:
        """Store `value` under `key`. An empty collection removes the item.

        An existing item keeps its time to live if `refresh_ttl` is false or `ttl_milliseconds` is None.
        Without an existing item, a `ttl_milliseconds` of None stores nothing: the item has expired while it
        was changed.
        """
        if ttl_milliseconds is not None:
            check_ttl(ttl_milliseconds)
        if not value and not isinstance(value, bytes):
            self.delete(key)
            return
        _check_size(key, value)
        item = self._unexpired(key)
        if item is not None and (ttl_milliseconds is None or not refresh_ttl):
            item.value = value
            return
        if ttl_milliseconds is not None:
            self._items[key] = _Item(value, time.monotonic() + ttl_milliseconds / 1000)

    def delete(self, key: bytes) -> None:
        self._items.pop(key, None)

    def remaining_milliseconds(self, key: bytes) -> int | None:
        """Return the rest of the item's time to live, or None if there is no such item."""
        item = self._unexpired(key)
        return None if item is None else max(0, int(item.remaining_seconds() * 1000))

    def set_ttl(self, key: bytes, ttl_milliseconds: int) -> None:
        """Set the time to live of an existing item, from now."""
        self._items[key].expires_at = time.monotonic() + ttl_milliseconds / 1000

    def flush(self) -> None:
        self._items.clear()

    def sweep(self) -> None:
        """Remove all expired items."""
        now = time.monotonic()
        for key in [key for key, item in self._items.items() if item.expires_at <= now]:
            del self._items[key]

    def _unexpired(self, key: bytes) -> _Item | None:
        item = self._items.get(key)
        if item is not None and item.remaining_seconds() <= 0:
            del self._items[key]
            return None
        return item


class Caches:
    """The account's caches by name."""

    def __init__(self) -> None:
        self._caches: dict[str, Cache] = {}

    def create(self, name: str) -> None:
        """Create a cache. Raise ALREADY_EXISTS."""
        if name in self._caches:
            raise MomentoError(grpc.StatusCode.ALREADY_EXISTS, f"Cache already exists: {name}")
        self._caches[name] = Cache()

    def ensure(self, name: str) -> None:
        """Create the cache unless it exists."""
        self._caches.setdefault(name, Cache())

    def delete(self, name: str) -> None:
        """Delete a cache. Raise NOT_FOUND."""
        self[name].flush()
        del self._caches[name]

    def sweep(self) -> None:
        for cache in self._caches.values():
            cache.sweep()

    def __getitem__(self, name: str) -> Cache:
        """Return a cache. Raise NOT_FOUND."""
        try:
            return self._caches[name]
        except KeyError:
            raise cache_not_found(name) from None

    def __contains__(self, name: str) -> bool:
        return name in self._caches

    def __iter__(self) -> Iterator[str]:
        return iter(sorted(self._caches))
