"""What an event asks the publisher for: one message, or a list of them."""

from __future__ import annotations

from dataclasses import dataclass

from comment import Comment
from identity import parse_token_id
from inputs import InvalidInputError

_FORM = '{"userId", "courseId", "comment"} or {"messages": [...the same...]}'


@dataclass(frozen=True, slots=True)
class Message:
    """A comment, and the user to publish it as."""

    user_id: str
    comment: Comment


def parse_event(event: object) -> list[Message | InvalidInputError]:
    """The messages of an event, each parsed or with what is wrong with it.

    Raises `InvalidInputError` where the event is of neither form, or is a single malformed message.
    """
    if not isinstance(event, dict):
        raise InvalidInputError(f"the event must be {_FORM}")
    if "messages" not in event:
        return [_parse_message(event)]
    if not isinstance(event["messages"], list):
        raise InvalidInputError(f"messages must be a list; the event must be {_FORM}")
    return [_parsed_or_refused(fields) for fields in event["messages"]]


def _parsed_or_refused(fields: object) -> Message | InvalidInputError:
    try:
        return _parse_message(fields)
    except InvalidInputError as error:
        return error


def _parse_message(fields: object) -> Message:
    if not isinstance(fields, dict):
        raise InvalidInputError(f"a message must be an object; the event must be {_FORM}")
    try:
        user_id = parse_token_id(fields.get("userId"))
    except InvalidInputError as error:
        raise InvalidInputError(f"userId: {error}") from None
    return Message(user_id, Comment.from_fields(fields))
