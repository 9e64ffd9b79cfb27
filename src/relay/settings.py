"""The relay's settings, from its environment, and how long it waits for what."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from momento_access.secrets import SECONDS_BETWEEN_REREADS

from momento_access.settings import MomentoSettings

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(frozen=True, slots=True)
class Durations:
    """How long the relay waits for what, in seconds."""

    lease: float = 15
    """A holder that has not renewed its lease for so long has lost it."""
    renewal: float = 5
    """Between renewals of the lease."""
    checkpoint: float = 1
    """Between checkpoints at least: what a crash may have delivered again."""
    poll: float = 0.5
    """Between looks at a lease that another holds."""
    handover: float = 90
    """Before a run's end, the next one may wait for it: they start a minute apart, give or take."""
    patience: float = 120
    """What a run waits for the lease at most."""
    stopping: float = 25
    """A run stops so long before its time is up: the message in flight and the checkpoint need some of it."""
    silence: float = 30
    """A stream without even a heartbeat for so long is dead; Momento promises no interval."""
    answer: float = 10
    """The webhook answers in 5, where it has not to be started first."""
    refusal: float = 2 * SECONDS_BETWEEN_REREADS
    """A 403 counts once it has stood for so long: the secret may have been rotated, or a clock be wrong."""
    report: float = 5
    """Between reports of the metrics."""


@dataclass(frozen=True, slots=True)
class Settings:
    """What the relay needs to know."""

    momento: MomentoSettings
    webhook_url: str
    signing_secret: str
    """Name or ARN of the secret that requests are signed with."""
    dead_letter_queue_url: str
    relay_table: str
    durations: Durations = Durations()

    @classmethod
    def from_environ(cls, environ: Mapping[str, str]) -> Settings:
        """Read the settings. Raise `KeyError` with the name of a missing variable."""
        return cls(
            momento=MomentoSettings.from_environ(environ),
            webhook_url=environ["WEBHOOK_URL"],
            signing_secret=environ["WEBHOOK_SIGNING_SECRET"],
            dead_letter_queue_url=environ["DEAD_LETTER_QUEUE_URL"],
            relay_table=environ["RELAY_TABLE"],
        )
