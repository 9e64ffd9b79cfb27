"""Chat in many languages: `{"room": "lobby", "language": "en", "text": "Hello"}`.

Users publish on `chat`. The webhook translates each message and publishes it on `chat:<room>:<language>`, to
which users only subscribe. The cache key `chat:<room>:<language>` is the list of the newest messages there.

In each language, a message is published first and put into the list last. So what is in the list is done. If
a process dies between the two, the message is published again, and subscribers know it by author and id.
"""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from common.inputs import InvalidInputError, to_json
from common.names import parse_id
from momento_access.errors import MomentoError, Status
from momento_access.permissions import Permissions
from topics.topic import Redelivery, Topic

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from topics.topic import Message, Services

_TEXT_MAX_BYTES = 900  # So that it fits into Momento's 4 KB with a translation that is three times as long.
_KEPT_FOR = timedelta(days=1)
_KEPT_MESSAGES = 100


@dataclass(frozen=True, slots=True)
class ChatMessage:
    """What a user says in a room."""

    room: str
    language: str
    text: str


class Chat(Topic[ChatMessage]):
    """Show each message of a room in every language, under the name of its author."""

    name = "chat"
    redelivery = Redelivery.LOOKED_UP

    def __init__(self, environ: Mapping[str, str]) -> None:
        self._languages = list(dict.fromkeys(environ["CHAT_LANGUAGES"].replace(" ", "").split(",")))

    def parse(self, fields: Mapping[str, object]) -> ChatMessage:
        language, text = fields.get("language"), fields.get("text")
        if not isinstance(language, str) or language not in self._languages:
            raise InvalidInputError(f"language must be one of {', '.join(self._languages)}")
        if not isinstance(text, str) or not text.strip():
            raise InvalidInputError("text must be a string that is not blank")
        if len(to_json(text).encode()) > _TEXT_MAX_BYTES:
            raise InvalidInputError(f"text must have {_TEXT_MAX_BYTES} bytes at most")
        return ChatMessage(parse_id("room", fields.get("room")), language, text)

    def permissions(self, claims: Mapping[str, object], ids: Sequence[object]) -> Permissions:
        rooms = {f"chat:{parse_id('room', room)}:" for room in ids}
        return Permissions(publish={self.name}, subscribe_below=rooms, read_below=rooms)

    def act(self, message: Message[ChatMessage], services: Services) -> bool:
        languages = self._languages
        if message.may_be_done:
            languages = [language for language in languages if not _is_done(message, language, services)]
        translate = services.aws_client("translate")
        with ThreadPoolExecutor() as executor:  # All at once, because each may take two seconds.
            translations = [executor.submit(_translate, message, code, translate) for code in languages]
        failure = None
        for language, translation in zip(languages, translations, strict=True):
            try:
                _show(message, language, translation.result(), services)
            except Exception as error:  # noqa: BLE001 (It is raised after the other languages are done.)
                failure = error
                if isinstance(error, MomentoError) and error.status is Status.DEADLINE_EXCEEDED:
                    break  # No time is left to wait for Momento again.
        if failure:
            raise failure
        return languages != []


def _translate(message: Message[ChatMessage], language: str, translate: Any) -> str:
    said = message.content
    if language == said.language:
        return said.text
    languages = {"SourceLanguageCode": said.language, "TargetLanguageCode": language}
    answer = translate.translate_text(Text=said.text, Settings={"Profanity": "MASK"}, **languages)
    return str(answer["TranslatedText"])


def _show(message: Message[ChatMessage], language: str, text: str, services: Services) -> None:
    from momento.requests import CollectionTtl  # Only the webhook loads the SDK.

    channel, ttl = f"chat:{message.content.room}:{language}", CollectionTtl(_KEPT_FOR)
    entry = {
        "userID": message.publisher,
        "text": text,
        "original": message.content.text,
        "originalLanguage": message.content.language,
        "id": message.id,
        "publishedAt": message.published_at,
    }
    document = json.dumps(entry, ensure_ascii=False)
    services.publish(channel, document)
    services.cache.list_push_front(
        services.cache_name, channel, document, ttl=ttl, truncate_back_to_size=_KEPT_MESSAGES
    )


def _is_done(message: Message[ChatMessage], language: str, services: Services) -> bool:
    from momento.responses import CacheListFetch

    channel = f"chat:{message.content.room}:{language}"
    stored = services.cache.list_fetch(services.cache_name, channel)
    entries = map(json.loads, stored.value_list_string) if isinstance(stored, CacheListFetch.Hit) else []
    return any((entry["userID"], entry["id"]) == (message.publisher, message.id) for entry in entries)
