"""What to do with a message: one function for each topic.

Each takes a message and the settings and returns the write to make in the cache; it raises
`InvalidInputError` where the message's text is not of the topic's form. To handle another topic, add a file
here and its line to `topic_handlers`; its messages come once the topic has a webhook, and users publish there
once their tokens may (`token_vendor/vending.py`, `publisher/sessions.py`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from inputs import InvalidInputError
from webhook.topics import comments

if TYPE_CHECKING:
    from collections.abc import Callable

    from webhook.message import Message
    from webhook.settings import Settings
    from webhook.writing import Write

    TopicHandler = Callable[[Message, Settings], Write]


def topic_handlers(settings: Settings) -> dict[str, TopicHandler]:
    """The function for each topic, by the topic's name."""
    return {
        settings.momento.topic_name: comments.write_comment,
    }


def write_for(message: Message, settings: Settings) -> Write:
    """The write that a message asks for; raises `InvalidInputError` where there is none."""
    handler = topic_handlers(settings).get(message.topic)
    if handler is None or message.cache != settings.momento.cache_name:
        raise InvalidInputError("this webhook is not for that cache and topic")
    return handler(message, settings)
