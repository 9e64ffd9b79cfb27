"""What every function needs to know of Momento, from its environment."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(frozen=True, slots=True)
class MomentoSettings:
    """Where Momento is, and the cache that this system uses there."""

    cache_name: str
    api_key_secret: str
    """Name or ARN of the secret that holds the API key."""
    endpoint: str
    """Regional endpoint that belongs to a v2 API key; empty for a v1 key, which holds its own."""
    local: str
    """`host:port` of a local Momento; empty on AWS."""

    @classmethod
    def from_environ(cls, environ: Mapping[str, str]) -> MomentoSettings:
        """Read the settings. Raise `KeyError` with the name of a missing variable."""
        return cls(
            cache_name=environ["CACHE_NAME"],
            api_key_secret=environ["MOMENTO_API_KEY_SECRET"],
            endpoint=environ["MOMENTO_ENDPOINT"],
            local=environ["MOMENTO_LOCAL"],
        )
