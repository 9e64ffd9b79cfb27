"""Numbers in headers and queries."""

_MAX_DIGITS = 20


def parse_number(text: str) -> int | None:
    """Return the non-negative integer in `text`, or None if it is malformed or has more than 20 digits."""
    if not (text.isascii() and text.isdecimal() and len(text) <= _MAX_DIGITS):
        return None
    return int(text)
