"""A request to the webhook: is it trusted, and which message does it deliver?"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from common.inputs import InvalidInputError, parse_json_object, raw_body
from common.message_id import take_message_id
from common.webhook_answers import OTHER_STACK
from common.webhook_signature import SIGNATURE_HEADER

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import timedelta

    from topics.topic import Topic
    from webhook.signing_secret import SigningSecret

_PAGE = "topic_sequence_page"


class UntrustedError(Exception):
    """The signature is missing or wrong, or the request is outside the replay window."""


class AnonymousError(Exception):
    """The message was published with a credential that carries no identity."""


@dataclass(frozen=True, slots=True)
class ReceivedMessage:
    """One message on a topic of this stack, and who published it."""

    topic: Topic[Any]
    content: Any
    publisher: str
    """The `token_id` in the publisher's token, which the publisher cannot choose."""
    id: str
    """The sender's id, or the position if there is none."""
    published_at: int
    """Epoch milliseconds."""
    order: tuple[int, int]
    """Greater than that of every earlier message on the topic."""
    position: str
    """Where the message is in its topic. It says nothing about the user, so it may be logged."""
    key: tuple[str, ...]
    """The same for every delivery of the message, and for everything that its publisher sends with its id."""


def verified_fields(
    event: Mapping[str, Any], secret: SigningSecret, now: float, replay_window: timedelta
) -> dict[str, Any]:
    """Return the JSON object in the body of a signed and recent request. `now` is in epoch seconds.

    Raise `UntrustedError`, `InvalidInputError` (only if it is signed) or `SecretError`.
    """
    try:
        body = raw_body(event)
    except InvalidInputError as error:
        raise UntrustedError(str(error)) from None
    signature = _signature(event)
    if signature is None:
        raise UntrustedError("no signature")
    if not secret.has_signed(body, signature):
        raise UntrustedError("wrong signature")
    fields = parse_json_object(body)
    if abs(now * 1000 - _integer(fields, "publish_timestamp")) > replay_window.total_seconds() * 1000:
        raise UntrustedError("outside the replay window")
    return fields


def parse_message(
    fields: Mapping[str, Any], topics: Mapping[str, Topic[Any]], cache_name: str
) -> ReceivedMessage:
    """Return the message that a request's fields describe.

    Raise `InvalidInputError` saying what is missing or wrong, and `AnonymousError` if the publisher has no
    identity.
    """
    cache, topic_name = _string(fields, "cache"), _string(fields, "topic")
    publisher, text = _string(fields, "token_id"), _string(fields, "text")
    published_at = _integer(fields, "event_timestamp")
    order = _order(fields)
    position = f"{'page' if _PAGE in fields else ''}{order[0]}-{order[1]}"
    if not publisher:
        raise AnonymousError
    topic = topics.get(topic_name)
    if topic is None or cache != cache_name:
        raise InvalidInputError(OTHER_STACK)
    content = parse_json_object(text)
    sender_id = take_message_id(content)
    return ReceivedMessage(
        topic=topic,
        content=topic.parse(content),
        publisher=publisher,
        id=sender_id or position,
        published_at=published_at,
        order=order,
        position=position,
        # With the publisher, because anybody may send the id of somebody else's message.
        key=(cache, topic_name, publisher, sender_id) if sender_id else (cache, topic_name, position),
    )


def _signature(event: Mapping[str, Any]) -> str | None:
    headers = event.get("headers")
    signature = headers.get(SIGNATURE_HEADER) if isinstance(headers, dict) else None
    return signature if isinstance(signature, str) else None


def _order(fields: Mapping[str, Any]) -> tuple[int, int]:
    """Return two numbers that every delivery of a message has in common, and that grow with each message.

    Sequence numbers restart after a topic was idle, on a larger page. A sender that gives no page gives the
    time of publishing, which is the same in each delivery.
    """
    run = _integer(fields, _PAGE if _PAGE in fields else "event_timestamp")
    return run, _integer(fields, "topic_sequence_number")


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
