"""Input from outside: the error for bad input, raw bodies, and strict JSON."""

from __future__ import annotations

import base64
import json
import math
from typing import TYPE_CHECKING, Any, NoReturn

if TYPE_CHECKING:
    from collections.abc import Mapping


class InvalidInputError(ValueError):
    """Input has the wrong form. The message says what is wrong and may be shown to the sender."""


def raw_body(event: Mapping[str, Any]) -> bytes:
    """Return the bytes of the body in an event of payload format 2.0. Raise `InvalidInputError`."""
    body = event.get("body") or ""
    try:
        return base64.b64decode(body, validate=True) if event.get("isBase64Encoded") else body.encode()
    except (AttributeError, TypeError, ValueError):
        raise InvalidInputError("the body cannot be read") from None


def parse_json_object(document: bytes | str) -> dict[str, Any]:
    """Return the JSON object in `document` (bytes must be UTF-8).

    Raise `InvalidInputError` for other encodings, other JSON values, `NaN`, `Infinity`, numbers that would
    become infinite, and nesting that is deeper than the interpreter allows.
    """
    try:
        text = document if isinstance(document, str) else document.decode("utf-8")
        value = json.loads(text, parse_float=_finite, parse_constant=_refuse_constant)
    except UnicodeDecodeError:
        raise InvalidInputError("not UTF-8") from None
    except RecursionError:
        raise InvalidInputError("nested too deeply") from None
    except ValueError:
        raise InvalidInputError("not valid JSON") from None
    if not isinstance(value, dict):
        raise InvalidInputError("not a JSON object")
    return value


def to_json(value: object) -> str:
    """Return `value`, which was parsed from JSON, as JSON that every service accepts.

    Raise `InvalidInputError` for numbers beyond the range, such as `1e999`, and for half of a surrogate pair.
    """
    try:
        document = json.dumps(value, ensure_ascii=False, allow_nan=False)
        document.encode()
    except UnicodeEncodeError:
        raise InvalidInputError("a character is incomplete") from None
    except RecursionError:
        raise InvalidInputError("nested too deeply") from None
    except ValueError:
        raise InvalidInputError("a number is too large") from None
    return document


def _finite(text: str) -> float:
    number = float(text)
    if math.isinf(number):
        raise ValueError(text)
    return number


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(name)
