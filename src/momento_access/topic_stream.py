"""Subscribing to a topic: who published what, in which order, and what is missing.

Momento's SDK drops the publisher's id and the discontinuities, and does not connect again. So subscriptions
use the generated stub.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import grpc
from momento_wire_types import cachepubsub_pb2 as messages
from momento_wire_types import cachepubsub_pb2_grpc as service

from momento_access.connection import call_metadata, open_channel
from momento_access.errors import MomentoError, Status

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import TracebackType
    from typing import Self

    from momento_access.credentials import Credentials


@dataclass(frozen=True, slots=True)
class PublishedMessage:
    """One message of the topic."""

    page: int
    number: int
    publisher_id: str
    """The `token_id` in the publisher's token; empty if it has none."""
    text: str | None
    """None if bytes were published."""


@dataclass(frozen=True, slots=True)
class Discontinuity:
    """Messages are missing, or the numbers start again. The next message follows this position."""

    page: int
    number: int


@dataclass(frozen=True, slots=True)
class Heartbeat:
    """The stream is alive. The first one says that it is open."""


class TopicStream:
    """One subscription, over a connection of its own. Iterate over it in one thread.

    A connection that hangs is found by keepalive pings within seconds and ends the stream.
    """

    def __init__(self, credentials: Credentials, cache: str, topic: str, *, page: int, number: int) -> None:
        """Begin with message `number` of `page`, or if `page` is 0, of the present page."""
        self._channel = open_channel(credentials.cache_endpoint, credentials.port)
        request = messages._SubscriptionRequest(
            cache_name=cache, topic=topic, resume_at_topic_sequence_number=number, sequence_page=page
        )
        metadata = call_metadata(credentials, "topic")
        self._call = service.PubsubStub(self._channel).Subscribe(request, metadata=metadata)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._channel.close()

    def __iter__(self) -> Iterator[PublishedMessage | Discontinuity | Heartbeat]:
        """Yield what arrives until Momento ends the stream. Raise `MomentoError` if it breaks."""
        try:
            for received in self._call:
                yield _parse(received)
        except grpc.RpcError as error:
            raise MomentoError(Status(error.code().name), "the stream ended with") from error

    def cancel(self) -> None:
        """End the stream. Any thread may call this."""
        self._call.cancel()


def _parse(received: Any) -> PublishedMessage | Discontinuity | Heartbeat:
    match received.WhichOneof("kind"):
        case "item":
            item = received.item
            text = item.value.text if item.value.WhichOneof("kind") == "text" else None
            return PublishedMessage(item.sequence_page, item.topic_sequence_number, item.publisher_id, text)
        case "discontinuity":
            gap = received.discontinuity
            return Discontinuity(gap.new_sequence_page, gap.new_topic_sequence)
        case _:
            return Heartbeat()
