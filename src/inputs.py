"""Input from outside: one error for what is wrong with it, raw bodies, and JSON read strictly."""

from __future__ import annotations

import base64
import json
from typing import TYPE_CHECKING, Any, NoReturn

if TYPE_CHECKING:
    from collections.abc import Mapping


class InvalidInputError(ValueError):
    """Input is not of the form asked for; the message says what is wrong and may be shown to the sender."""


def raw_body(event: Mapping[str, Any]) -> bytes:
    """The bytes of the body in an event of payload format 2.0; raises `InvalidInputError`."""
    body = event.get("body") or ""
    try:
        return base64.b64decode(body, validate=True) if event.get("isBase64Encoded") else body.encode()
    except (AttributeError, TypeError, ValueError):
        raise InvalidInputError("the body cannot be read") from None


def parse_json_object(document: bytes | str) -> dict[str, Any]:
    """The JSON object in `document` (UTF-8 where it is bytes).

    Raises `InvalidInputError` for anything else: other encodings, other JSON values, `NaN` and `Infinity`,
    and nesting deeper than the interpreter allows.
    """
    try:
        text = document if isinstance(document, str) else document.decode("utf-8")
        value = json.loads(text, parse_constant=_refuse_constant)
    except UnicodeDecodeError:
        raise InvalidInputError("not UTF-8") from None
    except RecursionError:
        raise InvalidInputError("nested too deeply") from None
    except ValueError:
        raise InvalidInputError("not valid JSON") from None
    if not isinstance(value, dict):
        raise InvalidInputError("not a JSON object")
    return value


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(name)
