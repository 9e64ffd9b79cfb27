"""The identity of a user, as it fits into a token."""

from __future__ import annotations

from inputs import InvalidInputError

TOKEN_ID_MAX_LENGTH = 64
"""Characters of a `token_id` that Momento accepts."""


def parse_token_id(value: object) -> str:
    """An identity that fits into a token: 1 to 64 printable characters. Else raises `InvalidInputError`."""
    if isinstance(value, str) and 0 < len(value) <= TOKEN_ID_MAX_LENGTH and value.isprintable():
        return value
    raise InvalidInputError(f"an identity must have 1 to {TOKEN_ID_MAX_LENGTH} printable characters")
