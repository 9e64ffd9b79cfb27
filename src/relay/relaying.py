"""Relays the topic to the webhook for as long as the lease is held."""

from __future__ import annotations

import math
import time
from concurrent.futures import ThreadPoolExecutor
from queue import Empty
from threading import Event
from typing import TYPE_CHECKING

from aws_lambda_powertools import Logger

from relay.counts import DELIVERED, DISCONTINUITIES, MESSAGES_MISSED, REFUSED, TOPIC_RESTARTS, Counts
from relay.delivery import Delivery
from relay.lease import Lease
from relay.progress import Gap, Restart
from relay.subscription import Message, Subscription

if TYPE_CHECKING:
    from concurrent.futures import Future

    from relay.settings import Settings

_TICK_SECONDS = 0.2

logger = Logger(child=True)


def relay(settings: Settings, stop: Event, ends_at: float = math.inf) -> dict[str, str | int]:
    """Relays whenever it has the lease, until `stop` is set or it is `ends_at` (monotonic seconds).

    A run that has an end leaves, with the status `busy`, where another is at work and will be for a while:
    a next run will come. Else the status is `relayed`, with counts.
    """
    counts = Counts()
    lease = Lease(settings)
    has_worked = False
    while not stop.is_set() and time.monotonic() < ends_at and _acquire(lease, settings, stop, ends_at):
        has_worked = True
        _Relay(settings, lease, counts, ends_at).work(stop)
    if not has_worked:
        return {"status": "busy"}
    return {
        "status": "relayed",
        "delivered": counts[DELIVERED],
        "refused": counts[REFUSED],
        "discontinuities": counts[DISCONTINUITIES],
    }


def _acquire(lease: Lease, settings: Settings, stop: Event, ends_at: float) -> bool:
    """Waits for the lease; returns False where it was stopped, or has an end and another is busy."""
    has_end = math.isfinite(ends_at)
    gives_up_at = min(time.monotonic() + settings.durations.patience, ends_at) if has_end else math.inf
    if lease.acquire():
        return True
    logger.info("another relay has the lease")
    while not (stop.wait(settings.durations.poll) or time.monotonic() >= gives_up_at):
        if lease.acquire():
            return True
        if has_end and lease.has_busy_holder:
            break
    return False


class _Relay:
    """Relays while it has the lease: one thread reads, one delivers, and this one looks after both."""

    def __init__(self, settings: Settings, lease: Lease, counts: Counts, ends_at: float) -> None:
        self._durations = settings.durations
        self._lease = lease
        self._counts = counts
        self._ends_at = ends_at
        self._position = lease.position
        self._stop = Event()
        self._subscription = Subscription(settings, lease.position, counts, self._stop)
        self._delivery = Delivery(settings, counts, self._stop, lambda: lease.seconds_left)
        self._behind_since: float | None = None
        """When it last had nothing in hand, in monotonic seconds; None while that is so.

        How old the messages are does not tell: when many wait at Momento, each is received late.
        """
        self._reported_at = -math.inf

    def work(self, stop: Event) -> None:
        """Relays until `stop` is set, the time is up or the lease is lost; saves how far it has come."""
        logger.info("relaying", position=str(self._position))
        with ThreadPoolExecutor() as threads:
            workers = [threads.submit(self._subscription.read), threads.submit(self._deliver)]
            try:
                while not (stop.wait(_TICK_SECONDS) or self._is_over(workers)):
                    self._look_after()
            finally:
                self._stop.set()
                self._subscription.interrupt()
        self._lease.release(self._position)
        self._counts.report(self._lag_seconds)
        logger.info("relayed", position=str(self._position))
        for worker in workers:
            worker.result()

    def _is_over(self, workers: list[Future[None]]) -> bool:
        if self._lease.seconds_left <= 0:
            logger.warning("the lease is lost")
            return True
        return time.monotonic() >= self._ends_at or any(worker.done() for worker in workers)

    def _look_after(self) -> None:
        now = time.monotonic()
        self._lease.keep(self._position, ends_soon=self._ends_at - now <= self._durations.handover)
        self._subscription.interrupt_silence()
        if now - self._reported_at >= self._durations.report:
            self._reported_at = now
            self._counts.report(self._lag_seconds)

    @property
    def _lag_seconds(self) -> float:
        since = self._behind_since
        behind = time.monotonic() - since if since else 0.0
        return max(behind, self._subscription.seconds_without_contact)

    def _deliver(self) -> None:
        """Deals with one after the other of what is received, until stopped."""
        while not self._stop.is_set():
            try:
                received = self._subscription.received.get(timeout=_TICK_SECONDS)
            except Empty:
                continue
            self._behind_since = self._behind_since or time.monotonic()
            if self._deal_with(received):
                self._position = received.position
                if self._subscription.received.empty():
                    self._behind_since = None

    def _deal_with(self, received: Message | Gap | Restart) -> bool:
        """Returns False where it was stopped before."""
        match received:
            case Message(text=None, position=position):
                # Momento's webhooks send no binary either.
                logger.debug("binary message passed over", position=str(position))
            case Message():
                return self._delivery.deliver(received)
            case Gap(position, missed):
                logger.error("Momento has dropped messages", position=str(position), missed=missed)
                self._counts.add(DISCONTINUITIES)
                self._counts.add(MESSAGES_MISSED, missed)
            case Restart(position):
                logger.info("the topic has started again", position=str(position))
                self._counts.add(TOPIC_RESTARTS)
        return True
