"""The spill queue: messages that could not be acted on wait here for another try."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from aws_access.queues import Queue
from common.pauses import pause_seconds

if TYPE_CHECKING:
    from collections.abc import Mapping

_LONGEST_PAUSE_SECONDS = 60
"""So that within two minutes after the end of an outage, however long, every message was tried again."""


class SpillQueue:
    """Messages wait here, longer after each try, up to a minute."""

    def __init__(self, url: str, first_pause_seconds: int) -> None:
        self._queue = Queue(url, timeout_seconds=0.5)
        self._first_pause_seconds = first_pause_seconds

    def keep(self, fields: Mapping[str, Any]) -> None:
        """Keep a request's fields as they are. Raise `QueueError`."""
        self._queue.send(json.dumps(fields), delay_seconds=self._first_pause_seconds)

    def postpone(self, record: Mapping[str, Any]) -> None:
        """Hide a message that was tried, until it is time for the next try. Raise `QueueError`."""
        tries = tries_of(record)
        pause = pause_seconds(tries + 1, self._first_pause_seconds, _LONGEST_PAUSE_SECONDS)
        self._queue.hide(record["receiptHandle"], round(pause))


def tries_of(record: Mapping[str, Any]) -> int:
    """Return how often a message was tried from the queue, this time included."""
    return int(record["attributes"]["ApproximateReceiveCount"])
