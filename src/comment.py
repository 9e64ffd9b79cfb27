"""A comment on a course: the message on the topic, `{"courseId": 123, "comment": "..."}`."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING

from inputs import InvalidInputError

if TYPE_CHECKING:
    from collections.abc import Mapping

COURSE_ID_MAX_LENGTH = 128


@dataclass(frozen=True, slots=True)
class Comment:
    """What one user says of one course."""

    course_id: int | str
    text: str

    @classmethod
    def from_fields(cls, fields: Mapping[str, object]) -> Comment:
        """Reads the fields `courseId` and `comment`; raises `InvalidInputError` saying which is wrong."""
        text = fields.get("comment")
        if not isinstance(text, str):
            raise InvalidInputError("comment must be a string")
        return cls(parse_course_id(fields.get("courseId")), text)

    def to_message(self) -> str:
        """The text to publish on the topic."""
        return json.dumps({"courseId": self.course_id, "comment": self.text}, ensure_ascii=False)


def parse_course_id(value: object) -> int | str:
    """A course's id, a whole number or a printable string; else raises `InvalidInputError`."""
    if isinstance(value, str | int) and not isinstance(value, bool):
        name = comments_list(value)
        if 0 < len(name) <= COURSE_ID_MAX_LENGTH and name.isprintable():
            return value
    raise InvalidInputError(
        f"courseId must be a whole number or a string of 1 to {COURSE_ID_MAX_LENGTH} printable characters"
    )


def comments_list(course_id: int | str) -> str:
    """Name of the cache list that holds a course's comments."""
    return str(course_id)
