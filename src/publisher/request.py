"""What an event asks the publisher for: one message, or a list of them."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from common.identity import parse_identity
from common.inputs import InvalidInputError
from common.message_id import take_message_id

if TYPE_CHECKING:
    from collections.abc import Mapping

    from topics.topic import Topic

_FORM = (
    'a comment {"userId", "courseId", "comment"}, a message {"userId", "topic", "message": {...}},'
    ' or {"messages": [...of either...]}'
)


@dataclass(frozen=True, slots=True)
class Message:
    """A message, and the user to publish it as."""

    user_id: str
    topic: str
    text: str
    """JSON, which includes the message's id."""


def parse_event(
    event: object, topics: Mapping[str, Topic[Any]], request_id: str
) -> list[Message | InvalidInputError]:
    """Return the messages of an event. What is wrong with a message of a list stands in its place.

    A message without an id gets one from the request id and its index, so that it has the same id when Lambda
    invokes the function again for the same event. Raise `InvalidInputError` if the event has neither form, or
    is a single malformed message.
    """
    if not isinstance(event, dict):
        raise InvalidInputError(f"the event must be {_FORM}")
    if "messages" not in event:
        return [_parse_message(event, topics, f"{request_id}-0")]
    if not isinstance(event["messages"], list):
        raise InvalidInputError(f"messages must be a list; the event must be {_FORM}")
    messages: list[Message | InvalidInputError] = []
    for index, fields in enumerate(event["messages"]):
        try:
            messages.append(_parse_message(fields, topics, f"{request_id}-{index}"))
        except InvalidInputError as error:
            messages.append(error)
    return messages


def _parse_message(event: object, topics: Mapping[str, Topic[Any]], default_id: str) -> Message:
    if not isinstance(event, dict):
        raise InvalidInputError(f"a message must be an object; the event must be {_FORM}")
    try:
        user_id = parse_identity(event.get("userId"))
    except InvalidInputError as error:
        raise InvalidInputError(f"userId: {error}") from None
    topic_name, fields = _topic_and_fields(event)
    topic = topics.get(topic_name) if isinstance(topic_name, str) else None
    if topic is None:
        raise InvalidInputError(f"topic must be one of {', '.join(topics)}")
    message_id = take_message_id(fields) or default_id
    topic.parse(fields)
    return Message(user_id, topic.name, _to_json({**fields, "id": message_id}))


def _topic_and_fields(event: Mapping[str, Any]) -> tuple[object, dict[str, Any]]:
    sender_id = {"id": event["id"]} if "id" in event else {}
    if "topic" not in event and "message" not in event:
        comment = {name: event[name] for name in ("courseId", "comment") if name in event}
        return "comment", sender_id | comment
    if not isinstance(event.get("message"), dict):
        raise InvalidInputError(f"message must be an object; the event must be {_FORM}")
    return event.get("topic"), sender_id | event["message"]


def _to_json(fields: Mapping[str, Any]) -> str:
    try:
        return json.dumps(fields, ensure_ascii=False, allow_nan=False)
    except ValueError:
        raise InvalidInputError("the message holds a number that JSON does not have") from None
