"""The relay's settings, from its environment, and how long it waits for what."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from aws_access.secrets import SECONDS_BETWEEN_REREADS
from momento_access.settings import MomentoSettings
from topics import enabled_names

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
    """Between checkpoints at least: what a crash may deliver again."""
    poll: float = 0.5
    """Between looks at a lease that another run holds."""
    handover: float = 90
    """Before a run's end, the next one may wait for it: they start a minute apart, give or take."""
    patience: float = 120
    """How long a run waits for the lease at most."""
    stopping: float = 30
    """A run stops so long before its time is up: it ends calls in flight, spills and saves its position."""
    silence: float = 30
    """A stream without even a heartbeat for so long is dead; Momento promises no interval."""
    idle: float = 5
    """A topic that had a message less than so long ago is not idle: if it restarts, it lost something."""
    answer: float = 10
    """The webhook answers within 5, or later if a process has to be started first."""
    refusal: float = 2 * SECONDS_BETWEEN_REREADS
    """A 403 is final after so long: the secret may have been rotated, or a clock may be wrong."""
    deploy: float = 180
    """A refusal because the webhook has other parameters is final after so long: a deploy may be under way,
    whose relay takes over within about a minute."""
    patience_with_lane: float = 10
    """A message that Momento may no longer hold goes to the spill queue after so long in its lane."""
    held: float = 300
    """The relay expects Momento to hold a message for so long at least. Momento promises no time. Longer than
    `deploy`, so that a message is not spilled before it is known whether the webhook refuses it."""
    report: float = 5
    """Between reports of the metrics."""


@dataclass(frozen=True, slots=True)
class Settings:
    """What the relay needs to know."""

    momento: MomentoSettings
    topics: tuple[str, ...]
    webhook_url: str
    signing_secret: str
    """Name or ARN of the secret that requests are signed with."""
    dead_letter_queue_url: str
    spill_queue_url: str
    relay_table: str
    concurrency: int
    """Calls to the webhook at the same time, at most."""
    max_bytes_in_hand: int = 50_000_000
    """About how much memory the messages that are read and wait for delivery take."""
    max_messages_behind: int = 500
    """The relay expects Momento to hold at least so many of a topic's latest messages.

    Momento does not document how many it holds."""
    durations: Durations = Durations()

    @classmethod
    def from_environ(cls, environ: Mapping[str, str]) -> Settings:
        """Read the settings.

        Raise `KeyError` with the name of a missing variable, and `ValueError` if one has no usable value.
        """
        concurrency = int(environ.get("RELAY_CONCURRENCY", "16"))
        if concurrency < 1:
            raise ValueError("RELAY_CONCURRENCY must be 1 or more")
        return cls(
            momento=MomentoSettings.from_environ(environ),
            topics=tuple(enabled_names(environ)),
            webhook_url=environ["WEBHOOK_URL"],
            signing_secret=environ["WEBHOOK_SIGNING_SECRET"],
            dead_letter_queue_url=environ["DEAD_LETTER_QUEUE_URL"],
            spill_queue_url=environ["SPILL_QUEUE_URL"],
            relay_table=environ["RELAY_TABLE"],
            concurrency=concurrency,
        )
