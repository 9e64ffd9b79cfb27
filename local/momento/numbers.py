"""Numbers as clients write them in headers and queries."""

_MAX_DIGITS = 20


def parse_number(text: str) -> int | None:
    """Return the non-negative integer in `text`, or None if there is none, or one of more than 20 digits."""
    if not (text.isascii() and text.isdecimal() and len(text) <= _MAX_DIGITS):
        return None
    return int(text)
