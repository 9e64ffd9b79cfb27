"""The publisher's settings, from its environment."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from momento_access.settings import MomentoSettings

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(frozen=True, slots=True)
class Settings:
    """What the publisher needs to know."""

    momento: MomentoSettings
    token_lifetime_seconds: int

    @classmethod
    def from_environ(cls, environ: Mapping[str, str]) -> Settings:
        """Read the settings. Raise `KeyError` with the name of a missing variable."""
        return cls(
            momento=MomentoSettings.from_environ(environ),
            token_lifetime_seconds=int(environ["TOKEN_LIFETIME_MINUTES"]) * 60,
        )
