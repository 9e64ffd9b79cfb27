"""The id that a sender may give to a message, so that sending it twice does no harm."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from common.inputs import InvalidInputError

if TYPE_CHECKING:
    from collections.abc import MutableMapping

_MAX_LENGTH = 64


def take_message_id(fields: MutableMapping[str, Any]) -> str | None:
    """Remove the field `id` from a message's fields and return it, or None if there is none.

    Raise `InvalidInputError` if it is not a string of 1 to 64 printable characters.
    """
    if "id" not in fields:
        return None
    message_id = fields.pop("id")
    if isinstance(message_id, str) and 0 < len(message_id) <= _MAX_LENGTH and message_id.isprintable():
        return message_id
    raise InvalidInputError(f"id must be a string of 1 to {_MAX_LENGTH} printable characters")
