"""Comments: each goes to the front of its course's list, under the name of who wrote it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from momento.requests import CollectionTtl

from comment import Comment, comments_list
from inputs import parse_json_object
from webhook.writing import check

if TYPE_CHECKING:
    from momento import CacheClient

    from webhook.message import Message
    from webhook.settings import Settings
    from webhook.writing import Write


def write_comment(message: Message, settings: Settings) -> Write:
    """Pushes the comment to the front of its course's list, which keeps the newest ones for a while."""
    comment = Comment.from_fields(parse_json_object(message.text))
    entry = {
        "userID": message.publisher,
        "comment": comment.text,
        "id": message.id,
        "publishedAt": message.published_at,
    }

    def push_front(cache: CacheClient) -> None:
        check(
            cache.list_push_front(
                message.cache,
                comments_list(comment.course_id),
                json.dumps(entry),
                ttl=CollectionTtl.of(settings.comment_ttl),
                truncate_back_to_size=settings.comment_list_length,
            )
        )

    return push_front
