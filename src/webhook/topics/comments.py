"""Comments: each goes to the front of its course's list, under the name of who wrote it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from momento.requests import CollectionTtl
from momento.responses import CacheListFetch

from comment import Comment, comments_list
from inputs import parse_json_object
from webhook.writing import Write, check

if TYPE_CHECKING:
    from momento import CacheClient

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

    comments = comments_list(comment.course_id)

    def push_front(cache: CacheClient) -> None:
        check(
            cache.list_push_front(
                message.cache,
                comments,
                json.dumps(entry),
                ttl=CollectionTtl.of(settings.comment_ttl),
                truncate_back_to_size=settings.comment_list_length,
            )
        )

    def is_in_the_list(cache: CacheClient) -> bool:
        fetched = cache.list_fetch(message.cache, comments)
        check(fetched)
        return isinstance(fetched, CacheListFetch.Hit) and any(
            json.loads(stored).get("id") == message.id for stored in fetched.value_list_string
        )

    return Write(make=push_front, is_made=is_in_the_list)
