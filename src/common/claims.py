"""Verified claims of a JWT, in the forms in which API Gateway passes them to a function."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping


def claim_values(claims: Mapping[str, object], name: str) -> frozenset[str]:
    """Return the values of a claim that is a list; none if there is no such claim.

    API Gateway turns the array `["a", "b"]` into the string `[a b]`, so values with blanks cannot be told
    apart. A string may also list its values as JSON, or separated by commas or blanks.
    """
    value = claims.get(name)
    values = _listed(value) if isinstance(value, str) else value
    return frozenset(str(item) for item in values) if isinstance(values, list) else frozenset()


def _listed(text: str) -> object:
    if not text.startswith("["):
        return re.findall(r"[^\s,]+", text)
    try:
        # As they are written, because `[5e10]` may be API Gateway's form of `["5e10"]`.
        values = json.loads(text, parse_int=str, parse_float=str, parse_constant=str)
    except (ValueError, RecursionError):
        values = None
    if isinstance(values, list) and all(isinstance(value, str) for value in values):
        return values
    return text.removeprefix("[").removesuffix("]").split()
