"""The webhook's settings, from its environment."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

from momento_access.settings import MomentoSettings

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(frozen=True, slots=True)
class Settings:
    """What the webhook needs to know."""

    momento: MomentoSettings
    signing_secret: str
    """Name or ARN of the secret that requests are signed with."""
    replay_window: timedelta
    idempotency_table: str
    idempotency_ttl: timedelta
    spill_queue_url: str
    spill_retry_seconds: int
    """Seconds before a message that could not be acted on is tried again; doubled after each further try."""

    @classmethod
    def from_environ(cls, environ: Mapping[str, str]) -> Settings:
        """Read the settings. Raise `KeyError` with the name of a missing variable."""
        return cls(
            momento=MomentoSettings.from_environ(environ),
            signing_secret=environ["WEBHOOK_SIGNING_SECRET"],
            replay_window=timedelta(seconds=int(environ["REPLAY_WINDOW_SECONDS"])),
            idempotency_table=environ["IDEMPOTENCY_TABLE"],
            idempotency_ttl=timedelta(seconds=int(environ["IDEMPOTENCY_TTL_SECONDS"])),
            spill_queue_url=environ["SPILL_QUEUE_URL"],
            spill_retry_seconds=int(environ["SPILL_RETRY_SECONDS"]),
        )
