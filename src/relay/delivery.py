"""One message on its way to the webhook."""

from __future__ import annotations

import sys
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from aws_lambda_powertools import Logger

from aws_access.queues import QueueError
from common.pauses import pauses
from relay.relay_metrics import REFUSED, RETRIES, SPILLED
from relay.webhook_client import Verdict

if TYPE_CHECKING:
    from collections.abc import Callable

    from aws_access.queues import Queue
    from relay.message import Message
    from relay.relay_metrics import RelayMetrics
    from relay.settings import Durations
    from relay.webhook_client import Answer, WebhookClient

_FIRST_PAUSE_SECONDS = 0.2
_LONGEST_PAUSE_SECONDS = 10
_BYTES_BESIDE_TEXT = 2000

logger = Logger(child=True)


@dataclass(frozen=True, slots=True)
class Courier:
    """What all deliveries share."""

    webhook: WebhookClient
    dead_letters: Queue
    spill_queue: Queue
    metrics: RelayMetrics
    durations: Durations


class Delivery:
    """Takes one message to the webhook.

    If the webhook refuses it, it goes to the dead-letter queue. If it waits too long, it goes to the spill
    queue, from where the webhook takes it.
    """

    def __init__(
        self,
        message: Message,
        waiting_since: float,
        courier: Courier,
        *,
        is_held_by_momento: Callable[[], bool],
        when_done: Callable[[], None],
    ) -> None:
        """`waiting_since` is in seconds of `time.monotonic`.

        `is_held_by_momento` says whether the next run can read the message again if this one ends.
        """
        self.waiting_since = waiting_since
        self._message = message
        self._courier = courier
        self._is_held_by_momento = is_held_by_momento
        self._when_done = when_done
        self._pauses = pauses(_FIRST_PAUSE_SECONDS, _LONGEST_PAUSE_SECONDS)
        self._attempts = 0
        self._doubtful_since: float | None = None
        self._refused_with: int | None = None

    @property
    def lane(self) -> str:
        """Return whose message it is: each publisher's messages are delivered in their order."""
        return self._message.publisher_id

    @property
    def size(self) -> int:
        """Return about how many bytes it takes."""
        return sys.getsizeof(self._message.text) + _BYTES_BESIDE_TEXT

    def attempt(self) -> float | None:
        """Try once. Return None once the message is taken or kept, or how long to pause, in seconds."""
        self._attempts += 1
        if self._refused_with is None:
            if self._waits_too_long() and self._spill():
                return None
            answer = self._courier.webhook.post(self._message)
            if answer.verdict is Verdict.TAKEN:
                self._courier.metrics.add_delivered(time.monotonic() - self.waiting_since)
                self._when_done()
                return None
            if not self._is_final(answer):
                self._note_retry(answer)
                return max(next(self._pauses), answer.retry_after_seconds)
            self._refused_with = answer.status
        return None if self._keep() else next(self._pauses)

    def _is_final(self, answer: Answer) -> bool:
        """Return whether the webhook refuses the message for good."""
        now = time.monotonic()
        durations = self._courier.durations
        match answer.verdict:
            case Verdict.REFUSED:
                return True
            case Verdict.UNTRUSTED:
                since = self._doubtful_since = self._doubtful_since or now
                has_reread = self._courier.webhook.has_reread_secret(since)
                return has_reread and now - since >= durations.refusal
            case Verdict.OTHER_STACK:
                since = self._doubtful_since = self._doubtful_since or now
                return now - since >= durations.deploy
        self._doubtful_since = None
        return False

    def _note_retry(self, answer: Answer) -> None:
        self._courier.metrics.add(RETRIES)
        if self._attempts & (self._attempts - 1) == 0:  # Not each time: an outage has many attempts.
            logger.warning(
                "not delivered yet",
                status=answer.status,
                topic=self._message.topic,
                position=str(self._message.position),
                attempts=self._attempts,
            )

    def leave(self, deadline: float) -> bool:
        """Leave the message to the next run, or else put it into a queue. Return whether it is safe."""
        if self._is_held_by_momento():
            return True
        if time.monotonic() >= deadline:
            return False
        return self._spill() if self._refused_with is None else self._keep()

    def _waits_too_long(self) -> bool:
        waited = time.monotonic() - self.waiting_since
        return waited >= self._courier.durations.patience_with_lane and not self._is_held_by_momento()

    def _spill(self) -> bool:
        """Put the message into the spill queue. Return whether that is done."""
        if not self._send_to(self._courier.spill_queue, "the spill queue"):
            return False
        self._courier.metrics.add(SPILLED)
        self._when_done()
        return True

    def _keep(self) -> bool:
        """Put the message into the dead-letter queue. Return whether that is done."""
        if not self._send_to(self._courier.dead_letters, "the dead-letter queue"):
            return False
        logger.error(
            "refused",
            status=self._refused_with,
            topic=self._message.topic,
            position=str(self._message.position),
        )
        self._courier.metrics.add(REFUSED)
        self._when_done()
        return True

    def _send_to(self, queue: Queue, name: str) -> bool:
        try:
            queue.send(self._courier.webhook.body(self._message).decode())
        except QueueError as error:
            logger.warning(f"{name} fails", reason=str(error))
            return False
        return True
