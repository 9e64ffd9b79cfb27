"""The topic as it arrives on the wire: who published, in which order, and what is missing.

Momento's SDK tells neither the publisher nor what is missing, and does not connect again; so this, as
all else here, uses the stub that the SDK is made on.
"""

from __future__ import annotations

import math
import time
from contextlib import suppress
from dataclasses import dataclass
from queue import Full, Queue
from typing import TYPE_CHECKING

import grpc
from aws_lambda_powertools import Logger
from aws_lambda_powertools.utilities.parameters.exceptions import GetParameterError
from momento_access.channels import call_metadata, open_channel
from momento_access.secrets import reread_secret
from momento_wire_types import cachepubsub_pb2 as pubsub
from momento_wire_types import cachepubsub_pb2_grpc as pubsub_service

from momento_access.credentials import InvalidCredentialsError, api_key_credentials
from relay.backoff import backoff
from relay.counts import RECONNECTS
from relay.progress import Gap, Position, Progress, Restart

if TYPE_CHECKING:
    from threading import Event

    from momento_access.credentials import Credentials
    from relay.counts import Counts
    from relay.settings import Settings

_MAX_UNDELIVERED = 100
_CHANNEL_OPTIONS = (
    # Else a new channel would share the pause, of up to two minutes, of the one that broke.
    ("grpc.use_local_subchannel_pool", 1),
)
_NEEDS_HELP = {
    grpc.StatusCode.UNAUTHENTICATED,
    grpc.StatusCode.PERMISSION_DENIED,
    grpc.StatusCode.NOT_FOUND,  # There is no such cache.
}

logger = Logger(child=True)


@dataclass(frozen=True, slots=True)
class Message:
    """One message, and where it stands in its topic."""

    position: Position
    publisher_id: str
    """The `token_id` in the publisher's token; empty where it has none."""
    text: str | None
    """None where binary was published."""
    received_at: float
    """Epoch seconds; when it was published, the wire does not tell."""


class Subscription:
    """Reads a topic into a bounded queue, over as many streams as it takes.

    While the queue is full nothing is read, so that Momento holds the messages instead.
    """

    def __init__(self, settings: Settings, last: Position | None, counts: Counts, stop: Event) -> None:
        """Begins after `last`, or, when that is None, with what Momento still holds. `stop` ends it."""
        self.received: Queue[Message | Restart | Gap] = Queue(_MAX_UNDELIVERED)
        self._settings = settings
        self._progress = Progress(last)
        self._counts = counts
        self._stop = stop
        self._call: grpc.Call | None = None
        self._has_opened = self._is_open = False
        self._last_contact = self._silent_since = time.monotonic()

    @property
    def seconds_without_contact(self) -> float:
        """How long there has been no stream."""
        return 0.0 if self._is_open else time.monotonic() - self._last_contact

    def read(self) -> None:
        """Reads until stopped, connecting again and again."""
        pauses = backoff(0.1, 10)
        while not self._stop.is_set():
            credentials = self._credentials()
            if credentials and self._read_stream(credentials):
                pauses = backoff(0.1, 10)
            self._stop.wait(next(pauses))

    def interrupt(self) -> None:
        """Ends the present stream; unless stopped, another one follows."""
        if self._call is not None:
            self._call.cancel()

    def interrupt_silence(self) -> None:
        """Ends the present stream where not even a heartbeat has come for too long."""
        silence = time.monotonic() - self._silent_since
        if self._call is not None and silence > self._settings.durations.silence:
            logger.warning("the stream is silent")
            self.interrupt()

    def _credentials(self) -> Credentials | None:
        """Credentials of the API key; None where there is no usable one at present."""
        try:
            return api_key_credentials(self._settings.momento)
        except InvalidCredentialsError:
            logger.exception("the secret holds no API key")
            self._reread_api_key()
        except GetParameterError:
            logger.exception("the API key cannot be read")
        return None

    def _reread_api_key(self) -> None:
        """Has the next stream use the API key as it is now: it may have been changed."""
        try:
            reread_secret(self._settings.momento.api_key_secret)
        except GetParameterError:
            logger.exception("the API key cannot be read")

    def _read_stream(self, credentials: Credentials) -> bool:
        """Reads one stream until it ends; returns whether it stood for a while."""
        stood = False
        with open_channel(credentials.cache_endpoint, credentials.port, _CHANNEL_OPTIONS) as channel:
            stub = pubsub_service.PubsubStub(channel)
            self._silent_since = time.monotonic()
            self._call = call = stub.Subscribe(self._request(), metadata=call_metadata(credentials, "topic"))
            try:
                # Whoever stops it has either been seen here or sees the call.
                while not self._stop.is_set():
                    stood = self._take(next(call))
            except StopIteration:
                logger.info("the stream has ended")
            except grpc.RpcError as error:
                self._tell_end(error.code())
            finally:
                self._call = None
                if self._is_open:
                    self._is_open = False
                    self._progress.break_off()
        return stood

    def _request(self) -> pubsub._SubscriptionRequest:
        return pubsub._SubscriptionRequest(
            cache_name=self._settings.momento.cache_name,
            topic=self._settings.momento.topic_name,
            resume_at_topic_sequence_number=self._progress.last.number + 1,
            sequence_page=self._progress.last.page,
        )

    def _take(self, received: pubsub._SubscriptionItem) -> bool:
        """Takes what a stream brings; returns whether that is more than its first sign of life."""
        is_first = not self._is_open
        if is_first:
            self._tell_open()
        self._last_contact = time.monotonic()
        self._silent_since = math.inf  # While this waits for room in the queue, the silence is ours.
        match received.WhichOneof("kind"):
            case "item":
                self._take_message(received.item)
            case "discontinuity":
                gap = received.discontinuity
                self._put(self._progress.skip_to(Position(gap.new_sequence_page, gap.new_topic_sequence)))
        self._silent_since = time.monotonic()
        if not is_first:
            self._progress.stand()
        return not is_first

    def _take_message(self, item: pubsub._TopicItem) -> None:
        position = Position(item.sequence_page, item.topic_sequence_number)
        text = item.value.text if item.value.WhichOneof("kind") == "text" else None
        self._put(self._progress.move_to(position))
        self._put(Message(position, item.publisher_id, text, time.time()))

    def _put(self, found: Message | Restart | Gap | None) -> None:
        while found is not None and not self._stop.is_set():
            with suppress(Full):
                self.received.put(found, timeout=0.5)
                return

    def _tell_open(self) -> None:
        if self._has_opened:
            self._counts.add(RECONNECTS)
        self._has_opened = self._is_open = True
        logger.info("reading the topic", begins_after=str(self._progress.last))

    def _tell_end(self, code: grpc.StatusCode) -> None:
        """Says what ended a stream, and has another API key used where Momento refused this one."""
        if self._stop.is_set():
            return
        if code in _NEEDS_HELP:
            logger.error("Momento refuses the subscription", code=code.name)
        else:
            logger.warning("the stream broke", code=code.name)
        if code is grpc.StatusCode.UNAUTHENTICATED:
            self._reread_api_key()
