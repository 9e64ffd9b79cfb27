"""The id that a sender may give to a message."""

from __future__ import annotations

from typing import Any

import pytest

from common.inputs import InvalidInputError
from common.message_id import take_message_id


@pytest.mark.parametrize("message_id", ["x", "click 1", "x" * 64, "\u00e9" * 64])
def test_an_id_is_taken_out_of_the_fields(message_id: str) -> None:
    fields: dict[str, Any] = {"id": message_id, "comment": "x"}
    assert take_message_id(fields) == message_id
    assert fields == {"comment": "x"}


def test_a_message_needs_no_id() -> None:
    fields: dict[str, Any] = {"comment": "x"}
    assert take_message_id(fields) is None
    assert fields == {"comment": "x"}


@pytest.mark.parametrize("message_id", ["", "x" * 65, "a\nb", "\u202e", 5, None, ["x"], ("x",), True])
def test_refuses_what_is_no_id(message_id: object) -> None:
    with pytest.raises(InvalidInputError, match="a string of 1 to 64 printable characters"):
        take_message_id({"id": message_id})
