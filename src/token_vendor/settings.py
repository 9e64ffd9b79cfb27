"""The token vendor's settings, from its environment."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from momento_access.settings import MomentoSettings

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(frozen=True, slots=True)
class Settings:
    """What the token vendor needs to know."""

    momento: MomentoSettings
    token_id_claim: str
    """JWT claim that becomes the user's identity."""
    token_lifetime_seconds: int

    @classmethod
    def from_environ(cls, environ: Mapping[str, str]) -> Settings:
        """Read the settings. Raise `KeyError` with the name of a missing variable."""
        return cls(
            momento=MomentoSettings.from_environ(environ),
            token_id_claim=environ["TOKEN_ID_CLAIM"],
            token_lifetime_seconds=int(environ["TOKEN_LIFETIME_MINUTES"]) * 60,
        )
