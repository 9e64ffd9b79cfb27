"""The identity of a user, which Momento tokens carry."""

from __future__ import annotations

from common.inputs import InvalidInputError
from common.names import parse_name

TOKEN_ID_MAX_LENGTH = 64
"""Characters of a `token_id` that Momento accepts."""


def parse_identity(value: object) -> str:
    """Return `value` if it is a name of at most 64 characters. Raise `InvalidInputError`."""
    try:
        return parse_name(value, TOKEN_ID_MAX_LENGTH)
    except InvalidInputError as error:
        raise InvalidInputError(f"an identity must be {error}") from None
