"""Writes to the cache: what a topic's function returns, and the connection over which it is made."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from grpc import StatusCode

from momento_access.cache import Cache
from momento_access.credentials import api_key_credentials, changed_api_key_credentials

if TYPE_CHECKING:
    from collections.abc import Callable

    from momento_access.channels import MomentoError
    from momento_access.credentials import Credentials
    from momento_access.settings import MomentoSettings


@dataclass(frozen=True)
class Write:
    """What a message asks to be written. Both functions raise `MomentoError`."""

    make: Callable[[Cache], None]
    """Makes the write."""
    is_made: Callable[[Cache], bool]
    """Whether it was made, asked only where an earlier attempt may have."""


class CacheWriter:
    """Makes writes over a connection that is kept, with the API key as it is."""

    def __init__(self, settings: MomentoSettings) -> None:
        self._settings = settings
        self._credentials: Credentials | None = None
        self._cache: Cache | None = None

    def make(self, write: Write, *, look_first: bool) -> bool:
        """Makes a write, with `look_first` unless it is there already; returns whether it was not.

        Raises `MomentoError`, or `GetParameterError` where the API key cannot be read.
        """
        cache = self._connected_cache()
        if look_first and write.is_made(cache):
            return False
        write.make(cache)
        return True

    def may_succeed_now(self, error: MomentoError) -> bool:
        """Whether another attempt, right now, may succeed where this one has failed."""
        if error.code is StatusCode.UNAUTHENTICATED and self._credentials:
            # The key may have been rotated.
            return changed_api_key_credentials(self._credentials, self._settings) is not None
        # A connection that was cut while Lambda kept the function frozen shows only when it is used.
        return error.code is StatusCode.UNAVAILABLE

    def _connected_cache(self) -> Cache:
        credentials = api_key_credentials(self._settings)
        if self._cache is None or credentials != self._credentials:
            if self._cache is not None:
                self._cache.close()
            self._cache = Cache(self._settings.cache_name, credentials)
            self._credentials = credentials
        return self._cache
