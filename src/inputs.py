"""Input from outside: one error for what is wrong with it, and JSON read strictly."""

from __future__ import annotations

import json
from typing import Any, NoReturn


class InvalidInputError(ValueError):
    """Input is not of the form asked for; the message says what is wrong and may be shown to the sender."""


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
