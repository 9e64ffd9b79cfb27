"""One run of the relay: it relays the topics to the webhook for as long as it holds the lease."""

from __future__ import annotations

import math
import time
from concurrent.futures import ThreadPoolExecutor
from threading import Event
from typing import TYPE_CHECKING

from aws_lambda_powertools import Logger

from aws_access.queues import Queue
from relay.delivery import Courier
from relay.lanes import Lanes
from relay.lease import Lease, Standing
from relay.relay_metrics import DELIVERED, DISCONTINUITIES, REFUSED, RelayMetrics
from relay.topic_reader import TopicReader
from relay.webhook_client import WebhookClient

if TYPE_CHECKING:
    from concurrent.futures import Future

    from relay.backlog import Bookmark
    from relay.settings import Settings

_TICK_SECONDS = 0.2
_QUEUE_TIMEOUT_SECONDS = 2
_SECONDS_TO_LEAVE = 8

logger = Logger(child=True)


def relay(settings: Settings, stop: Event, ends_at: float = math.inf) -> dict[str, str | int]:
    """Relay whenever the lease can be had, until `stop` is set or it is `ends_at` (monotonic seconds).

    A run that has an end leaves if it is not needed: with the status `busy` if another one is at work and
    will be for a while, or when it is asked to hand over to a newer version. The next run will come.
    Otherwise the status is `relayed`, with counts.
    """
    metrics = RelayMetrics()
    lease = Lease(settings)
    has_end = ends_at < math.inf
    has_worked = False
    while _wait_for(lease, settings, stop, ends_at):
        has_worked = True
        is_replaced = not _Run(settings, lease, metrics, ends_at).work(stop)
        if is_replaced and has_end:
            break
        if is_replaced:
            stop.wait(settings.durations.lease)  # The other one goes first.
    if not has_worked:
        return {"status": "busy"}
    return {
        "status": "relayed",
        "delivered": metrics[DELIVERED],
        "refused": metrics[REFUSED],
        "discontinuities": metrics[DISCONTINUITIES],
    }


def _wait_for(lease: Lease, settings: Settings, stop: Event, ends_at: float) -> bool:
    """Wait for the lease. Return False if it cannot be had in time, or is not needed."""
    has_end = ends_at < math.inf
    gives_up_at = min(time.monotonic() + settings.durations.patience, ends_at) if has_end else math.inf
    is_first_time = True
    while not stop.is_set() and time.monotonic() < gives_up_at:
        standing = lease.acquire()
        if standing is Standing.HOLDS:
            return True
        if is_first_time:
            logger.info("another relay has the lease")
            is_first_time = False
        if has_end and standing is Standing.NOT_NEEDED:
            return False
        stop.wait(settings.durations.poll)
    return False


class _Run:
    """Relays while it holds the lease: threads read the topics and deliver, and this one watches them."""

    def __init__(self, settings: Settings, lease: Lease, metrics: RelayMetrics, ends_at: float) -> None:
        self._durations = settings.durations
        self._lease = lease
        self._metrics = metrics
        self._ends_at = ends_at
        self._stop = Event()
        self._concurrency = settings.concurrency
        self._lanes = Lanes(settings.max_bytes_in_hand)
        dead_letters, spill_queue = (
            Queue(url, timeout_seconds=_QUEUE_TIMEOUT_SECONDS, connections=settings.concurrency)
            for url in (settings.dead_letter_queue_url, settings.spill_queue_url)
        )
        dead_letters.prepare()
        spill_queue.prepare()
        webhook = WebhookClient(settings, lambda: lease.seconds_left)
        courier = Courier(webhook, dead_letters, spill_queue, metrics, settings.durations)
        self._readers = {
            topic: TopicReader(
                settings, topic, lease.bookmark(topic), lanes=self._lanes, courier=courier, stop=self._stop
            )
            for topic in settings.topics
        }
        self._reported_at = -math.inf

    def work(self, stop: Event) -> bool:
        """Relay until `stop` is set, the time is up or the lease is lost. Save how far everything has come.

        Return False if it has ended because a newer version has asked for the lease.
        """
        logger.info("relaying", topics=list(self._readers))
        is_replaced = False
        with ThreadPoolExecutor(self._concurrency + len(self._readers)) as threads:
            workers = [threads.submit(reader.read) for reader in self._readers.values()]
            workers += [threads.submit(self._lanes.work) for _ in range(self._concurrency)]
            try:
                while not (stop.wait(_TICK_SECONDS) or is_replaced or self._is_over(workers)):
                    is_replaced = not self._look_after()
            finally:
                self._stop.set()
                self._lanes.close()
                for reader in self._readers.values():
                    reader.interrupt()
        self._lanes.leave(threads=self._concurrency, seconds=_SECONDS_TO_LEAVE)
        self._lease.release(self._bookmarks())
        self._report()
        logger.info("relayed", is_replaced=is_replaced)
        for worker in workers:
            worker.result()
        return not is_replaced

    def _is_over(self, workers: list[Future[None]]) -> bool:
        if self._lease.seconds_left <= 0:
            logger.warning("the lease is lost")
            return True
        return time.monotonic() >= self._ends_at or any(worker.done() for worker in workers)

    def _look_after(self) -> bool:
        """Return False if a newer version has asked for the lease."""
        now = time.monotonic()
        for reader in self._readers.values():
            reader.interrupt_silence()
        if now - self._reported_at >= self._durations.report:
            self._reported_at = now
            self._report()
        return self._lease.keep(self._bookmarks(), ends_soon=self._ends_at - now <= self._durations.handover)

    def _bookmarks(self) -> dict[str, Bookmark | None]:
        return {topic: reader.bookmark() for topic, reader in self._readers.items()}

    def _report(self) -> None:
        oldest = self._lanes.oldest_seconds()
        without_contact = max(reader.seconds_without_contact for reader in self._readers.values())
        self._metrics.report(
            lag_seconds=max(oldest, without_contact), oldest_seconds=oldest, lanes=self._lanes.count
        )
