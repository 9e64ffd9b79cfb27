"""Comments on courses: `{"courseId": 123, "comment": "..."}`, stored in a list for each course."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

from common.claims import claim_values
from common.inputs import InvalidInputError
from common.names import parse_number_or_name
from momento_access.permissions import Permissions
from topics import registered_topics
from topics.topic import NotPermittedError, Redelivery, Topic

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from topics.topic import Message, Services

_COURSE_ID_MAX_LENGTH = 128


@dataclass(frozen=True, slots=True)
class Comment:
    """What a user says about a course."""

    course_id: str
    """Also the key of the list that holds the course's comments."""
    text: str


class Comments(Topic[Comment]):
    """Put each comment at the front of its course's list, under the name of its publisher."""

    name = "comment"
    redelivery = Redelivery.LOOKED_UP

    def __init__(self, environ: Mapping[str, str]) -> None:
        self._ttl = timedelta(seconds=int(environ["COMMENT_TTL_SECONDS"]))
        self._list_length = int(environ["COMMENT_LIST_LENGTH"])
        self._course_ids_claim = environ["COURSE_IDS_CLAIM"]

    def parse(self, fields: Mapping[str, object]) -> Comment:
        text = fields.get("comment")
        if not isinstance(text, str):
            raise InvalidInputError("comment must be a string")
        return Comment(_parse_course_id(fields.get("courseId")), text)

    def act(self, message: Message[Comment], services: Services) -> bool:
        from momento.requests import CollectionTtl  # Only the webhook loads the SDK.

        comment = message.content
        if message.may_be_done and self._is_stored(message, services):
            return False
        entry = {
            "userID": message.publisher,
            "comment": comment.text,
            "id": message.id,
            "publishedAt": message.published_at,
        }
        services.cache.list_push_front(
            services.cache_name,
            comment.course_id,
            # As long as the message and no longer, because a list holds 1 MB. Characters that UTF-8 does not
            # have (half of a surrogate pair) are escaped, as JSON allows.
            json.dumps(entry, ensure_ascii=False).encode(errors="backslashreplace"),
            ttl=CollectionTtl(self._ttl),
            truncate_back_to_size=self._list_length,
        )
        return True

    def permissions(self, claims: Mapping[str, object], ids: Sequence[object]) -> Permissions:
        course_ids = {_parse_course_id(course_id) for course_id in ids}
        if self._course_ids_claim and not course_ids <= claim_values(claims, self._course_ids_claim):
            raise NotPermittedError("you may not read all of these courses")
        return Permissions({self.name}, {self.name}, read=course_ids)

    def _is_stored(self, message: Message[Comment], services: Services) -> bool:
        from momento.responses import CacheListFetch

        fetched = services.cache.list_fetch(services.cache_name, message.content.course_id)
        return isinstance(fetched, CacheListFetch.Hit) and any(
            _publisher_and_id(stored) == (message.publisher, message.id)
            for stored in fetched.value_list_bytes
        )


def _parse_course_id(value: object) -> str:
    course_id = parse_number_or_name("courseId", value, _COURSE_ID_MAX_LENGTH)
    if (topic := course_id.partition(":")[0]) != course_id and topic in registered_topics():
        raise InvalidInputError(f"courseId must not begin with {topic}:, as the keys of that topic do")
    return course_id


def _publisher_and_id(stored: bytes) -> tuple[object, object] | None:
    """Return whose entry it is and its id, or None if something else is in the list."""
    try:
        entry = json.loads(stored)
        return entry["userID"], entry["id"]
    except (ValueError, TypeError, KeyError):
        return None
