"""Comments: each goes to the front of its course's list, under the name of who wrote it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from comment import Comment, comments_list
from inputs import parse_json_object
from webhook.writing import Write

if TYPE_CHECKING:
    from momento_access.cache import Cache
    from webhook.message import Message
    from webhook.settings import Settings


def write_comment(message: Message, settings: Settings) -> Write:
    """Pushes the comment to the front of its course's list, which keeps the newest ones for a while."""
    comment = Comment.from_fields(parse_json_object(message.text))
    entry = {
        "userID": message.publisher,
        "comment": comment.text,
        "id": message.id,
        "publishedAt": message.published_at,
    }
    # No longer than it was published: a list holds a megabyte, and who could make entries grow could fill it.
    # What UTF-8 cannot say, half of a surrogate pair, is escaped as JSON does.
    stored_form = json.dumps(entry, ensure_ascii=False).encode(errors="backslashreplace")
    comments = comments_list(comment.course_id)

    def push_front(cache: Cache) -> None:
        cache.list_push_front(
            comments, stored_form, ttl=settings.comment_ttl, max_length=settings.comment_list_length
        )

    def is_in_the_list(cache: Cache) -> bool:
        return any(_id_of(stored) == message.id for stored in cache.list_fetch(comments))

    return Write(make=push_front, is_made=is_in_the_list)


def _id_of(stored: bytes) -> object:
    """The id of an entry, None where somebody else has put another thing into the list."""
    try:
        return json.loads(stored)["id"]
    except (ValueError, TypeError, KeyError):
        return None
