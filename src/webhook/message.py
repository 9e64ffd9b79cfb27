"""A message as Momento's webhook delivers it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from inputs import InvalidInputError

if TYPE_CHECKING:
    from collections.abc import Mapping


class AnonymousError(Exception):
    """The message was published with a credential that carries no identity."""


@dataclass(frozen=True, slots=True)
class Message:
    """One message on a topic, and who published it."""

    cache: str
    topic: str
    id: str
    """The same for every delivery of the message, and another for every other message on its topic."""
    publisher: str
    """The `token_id` in the publisher's token, which the publisher cannot choose."""
    published_at: int
    """Epoch milliseconds."""
    text: str


def publish_timestamp(fields: Mapping[str, Any]) -> int:
    """When the request was made, in epoch milliseconds; raises `InvalidInputError` where it does not say."""
    return _integer(fields, "publish_timestamp")


def parse_message(fields: Mapping[str, Any]) -> Message:
    """Reads the fields of a request's body.

    Raises `InvalidInputError` saying which field is missing or wrong, and `AnonymousError` where the
    publisher has no identity.
    """
    published_at = _integer(fields, "event_timestamp")
    number = _integer(fields, "topic_sequence_number")
    # Sequence numbers restart after a topic was idle. The page tells the runs apart; where the sender gives
    # none, the time of publishing does, which redeliveries share.
    run = (
        f"page{_integer(fields, 'topic_sequence_page')}" if "topic_sequence_page" in fields else published_at
    )
    message = Message(
        cache=_string(fields, "cache"),
        topic=_string(fields, "topic"),
        id=f"{run}-{number}",
        publisher=_string(fields, "token_id"),
        published_at=published_at,
        text=_string(fields, "text"),
    )
    if not message.publisher:
        raise AnonymousError
    return message


def _string(fields: Mapping[str, Any], name: str) -> str:
    value = fields.get(name)
    if not isinstance(value, str):
        raise InvalidInputError(f"{name} must be a string")
    return value


def _integer(fields: Mapping[str, Any], name: str) -> int:
    value = fields.get(name)
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value < 2**64:
        raise InvalidInputError(f"{name} must be a whole number")
    return value
