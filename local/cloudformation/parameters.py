"""Check the values of a template's parameters as CloudFormation does.

Rules: https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/parameters-section-structure.html
"""

import re
from collections.abc import Callable, Collection, Mapping
from decimal import Decimal
from typing import Any

_NUMBER = re.compile(r"[+-]?([0-9]+(\.[0-9]*)?|\.[0-9]+)([eE][+-]?[0-9]+)?")


class ParameterError(Exception):
    """A value is invalid. The message is CloudFormation's, without the value, which may be secret."""


def parameter_values(
    declared: Mapping[str, Mapping[str, Any]], given: Mapping[str, str], unchecked: Collection[str]
) -> dict[str, str | list[str]]:
    """Return the value of each declared parameter: the given one, or its default. Raise ParameterError.

    Parameters in `unchecked` may have any value.
    """
    if unknown := sorted(set(given) - set(declared)):
        raise ParameterError(
            f"Parameters: [{', '.join(unknown)}] do not exist in the template. It has: {', '.join(declared)}."
        )
    if missing := [name for name in declared if name not in given and "Default" not in declared[name]]:
        raise ParameterError(f"Parameters: [{', '.join(missing)}] must have values")
    values: dict[str, str | list[str]] = {}
    for name, declaration in declared.items():
        text = text_of(given.get(name, declaration.get("Default")))
        is_list = declaration["Type"] == "CommaDelimitedList" or declaration["Type"].startswith("List<")
        items = [item.strip() for item in text.split(",")] if is_list else [text]
        if name not in unchecked:
            for item in items:
                _check(name, declaration, item)
        values[name] = items if is_list else text
    return values


def text_of(value: Any) -> str:
    """Convert a value to text as CloudFormation does."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, list):
        return ",".join(map(text_of, value))
    return str(value)


# For each constraint, a check of a value and CloudFormation's error message.
_CONSTRAINTS: Mapping[str, tuple[Callable[[str, Any], bool], str]] = {
    "AllowedValues": (
        lambda value, allowed: value in map(text_of, allowed),
        "must be one of AllowedValues: {}",
    ),
    "AllowedPattern": (
        lambda value, pattern: bool(re.fullmatch(pattern, value, re.ASCII)),
        "must match pattern {}",
    ),
    "MinLength": (lambda value, limit: len(value) >= int(limit), "must contain at least {} characters"),
    "MaxLength": (lambda value, limit: len(value) <= int(limit), "must contain at most {} characters"),
    "MinValue": (
        lambda value, limit: Decimal(value) >= Decimal(str(limit)),
        "must be a number not less than {}",
    ),
    "MaxValue": (
        lambda value, limit: Decimal(value) <= Decimal(str(limit)),
        "must be a number not greater than {}",
    ),
}


def _check(name: str, declaration: Mapping[str, Any], value: str) -> None:
    """Raise ParameterError unless the declaration allows the value, or the item of a list."""
    if declaration["Type"] in {"Number", "List<Number>"} and not _NUMBER.fullmatch(value):
        raise ParameterError(f"Parameter '{name}' must be a number.")
    for constraint, (is_satisfied, message) in _CONSTRAINTS.items():
        if constraint in declaration and not is_satisfied(value, declaration[constraint]):
            reason = message.format(text_of(declaration[constraint]))
            if described := declaration.get("ConstraintDescription"):
                reason = f"failed to satisfy constraint: {described}"
            raise ParameterError(f"Parameter '{name}' {reason}")
