"""Reads a topic, over as many streams as it takes."""

from __future__ import annotations

import math
import time
from typing import TYPE_CHECKING

from aws_lambda_powertools import Logger

from common.pauses import pauses
from momento_access.credentials import ApiKeyError, api_key_credentials, changed_api_key_credentials
from momento_access.errors import MomentoError, Status
from momento_access.topic_stream import Discontinuity, PublishedMessage, TopicStream
from relay.backlog import Backlog, Bookmark
from relay.delivery import Delivery
from relay.message import Message, Position
from relay.progress import Gap, Progress, Restart
from relay.relay_metrics import DISCONTINUITIES, MESSAGES_MISSED, RECONNECTS, TOPIC_RESTARTS

if TYPE_CHECKING:
    from threading import Event

    from momento_access.credentials import Credentials
    from momento_access.topic_stream import Heartbeat
    from relay.delivery import Courier
    from relay.lanes import Lanes
    from relay.settings import Settings

_FIRST_PAUSE_SECONDS = 0.1
_LONGEST_PAUSE_SECONDS = 10
_NEEDS_HELP = {
    Status.UNAUTHENTICATED,
    Status.PERMISSION_DENIED,
    Status.NOT_FOUND,  # There is no such cache.
}

logger = Logger(child=True)


class TopicReader:
    """Puts a topic's messages into the lanes, and follows what of the topic is dealt with.

    While the lanes are full it reads nothing, so that Momento holds the messages instead.
    """

    def __init__(
        self,
        settings: Settings,
        topic: str,
        bookmark: Bookmark | None,
        *,
        lanes: Lanes,
        courier: Courier,
        stop: Event,
    ) -> None:
        """Begin after the bookmark, or, if there is none, with what Momento still holds."""
        last = bookmark.position if bookmark else None
        self._settings = settings
        self._topic = topic
        self._lanes = lanes
        self._courier = courier
        self._stop = stop
        self._progress = Progress(last)
        self._backlog = Backlog(last, self._report)
        self._stream: TopicStream | None = None
        self._has_opened = self._is_open = False
        self._last_contact = self._silent_since = time.monotonic()
        now = time.time()
        self._quiet_from, self._quiet_until = (
            (bookmark.quiet_from, bookmark.quiet_until) if bookmark else (now, now)
        )
        self._behind_since: float | None = None

    @property
    def seconds_without_contact(self) -> float:
        """Return for how long there has been no stream."""
        return 0.0 if self._is_open else time.monotonic() - self._last_contact

    def bookmark(self) -> Bookmark | None:
        """Return how far everything is dealt with, or None if nothing is known of the topic yet."""
        is_clear = self._backlog.is_empty
        position = self._backlog.position
        if position is None:
            return None
        return Bookmark(position, self._quiet_from, self._quiet_until if is_clear else self._quiet_from)

    def read(self) -> None:
        """Read until stopped, connecting again and again."""
        waits = pauses(_FIRST_PAUSE_SECONDS, _LONGEST_PAUSE_SECONDS)
        while not self._stop.is_set():
            if self._read_stream():
                waits = pauses(_FIRST_PAUSE_SECONDS, _LONGEST_PAUSE_SECONDS)
            self._stop.wait(next(waits))

    def interrupt(self) -> None:
        """End the present stream. Another one follows, unless the reader is stopped."""
        if (stream := self._stream) is not None:
            stream.cancel()

    def interrupt_silence(self) -> None:
        """End the present stream if not even a heartbeat has come for too long."""
        if time.monotonic() - self._silent_since > self._settings.durations.silence and self._stream:
            logger.warning("the stream is silent", topic=self._topic)
            self.interrupt()

    def _read_stream(self) -> bool:
        """Read one stream until it ends. Return whether it lasted for a while."""
        try:
            credentials = api_key_credentials(self._settings.momento)
        except ApiKeyError:
            logger.exception("the API key cannot be used")
            return False
        last = self._progress.last
        page, number = (last.page, last.number + 1) if last else (0, 1)
        items = 0
        cache = self._settings.momento.cache_name
        with TopicStream(credentials, cache, self._topic, page=page, number=number) as stream:
            self._silent_since = time.monotonic()
            self._stream = stream
            try:
                if not self._stop.is_set():  # If it is set from now on, the stream is cancelled as well.
                    for received in stream:
                        items += 1
                        self._take(received)
                        if items > 1:
                            self._progress.confirm()
                logger.info("the stream has ended", topic=self._topic)
            except MomentoError as error:
                self._note_end(error.status, credentials)
            finally:
                self._stream = None
                self._is_open = False
        return items > 1

    def _take(self, received: PublishedMessage | Discontinuity | Heartbeat) -> None:
        if not self._is_open:
            self._note_open()
        self._silent_since = math.inf  # While this waits for room in the lanes, the silence is ours.
        match received:
            case PublishedMessage():
                self._take_message(received)
            case Discontinuity(page, number):
                self._note_finding(self._progress.skip_to(Position(page, number)))
                self._backlog.pass_over(Position(page, number))
            case _:
                self._behind_since = None  # There is nothing else to read.
        self._last_contact = self._silent_since = time.monotonic()
        self._quiet_until = time.time()

    def _take_message(self, published: PublishedMessage) -> None:
        position = Position(published.page, published.number)
        self._note_finding(self._progress.move_to(position))
        self._quiet_from = time.time()
        if published.text is None:
            # Momento's webhooks send no bytes either.
            logger.debug("bytes are passed over", topic=self._topic, position=str(position))
            self._backlog.pass_over(position)
            return
        message = Message(
            self._topic, position, published.publisher_id, published.text, received_at=self._quiet_from
        )
        place = self._backlog.add(position)
        waiting_since = self._waiting_since()
        self._lanes.put(
            Delivery(
                message,
                waiting_since,
                self._courier,
                is_held_by_momento=lambda: self._is_held_by_momento(place, waiting_since),
                when_done=lambda: self._backlog.remove(place),
            )
        )

    def _is_held_by_momento(self, place: int, waiting_since: float) -> bool:
        is_recent = time.monotonic() - waiting_since < self._settings.durations.held
        return is_recent and self._backlog.count_after(place) <= self._settings.max_messages_behind

    def _waiting_since(self) -> float:
        """Return since when a message that was just read has been waiting, as far as that is known.

        While the lanes are full, messages wait at Momento, and the stream does not tell for how long.
        """
        now = time.monotonic()
        if self._behind_since is None and self._lanes.is_full:
            self._behind_since = now
        return self._behind_since or now

    def _note_open(self) -> None:
        now = time.time()
        self._progress.resume(
            quiet_seconds=self._quiet_until - self._quiet_from,
            away_seconds=now - self._quiet_until,
            idle_seconds=self._settings.durations.idle,
        )
        if self._has_opened:
            self._courier.metrics.add(RECONNECTS)
        self._has_opened = self._is_open = True
        logger.info("reading the topic", topic=self._topic, begins_after=str(self._progress.last))

    def _note_end(self, status: Status, credentials: Credentials) -> None:
        """Log what ended a stream, and use another API key if Momento has refused this one."""
        if self._stop.is_set():
            return
        if status in _NEEDS_HELP:
            logger.error("Momento refuses the subscription", topic=self._topic, code=status)
        else:
            logger.warning("the stream broke", topic=self._topic, code=status)
        if status is Status.UNAUTHENTICATED:
            try:
                changed_api_key_credentials(credentials, self._settings.momento)
            except ApiKeyError:
                logger.exception("the API key cannot be read")

    def _note_finding(self, finding: Gap | Restart | None) -> None:
        if finding is not None:
            self._backlog.add_finding(finding)

    def _report(self, finding: Gap | Restart) -> None:
        metrics = self._courier.metrics
        position = str(finding.position)
        match finding:
            case Gap(missed=missed):
                logger.error(
                    "Momento has dropped messages", topic=self._topic, position=position, missed=missed
                )
                metrics.add(DISCONTINUITIES)
                metrics.add(MESSAGES_MISSED, missed)
            case Restart():
                logger.info("the topic has started again", topic=self._topic, position=position)
                metrics.add(TOPIC_RESTARTS)
