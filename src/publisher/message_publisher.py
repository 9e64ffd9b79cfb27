"""Publishing messages as their users, with more attempts while Momento refuses them and time is left."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from common.pauses import pauses
from momento_access.credentials import ApiKeyError, InvalidApiKeyError
from momento_access.errors import MomentoError, Status
from momento_access.tokens import MintingError
from momento_access.topic_publisher import MESSAGE_MAX_BYTES, PUBLISH_TIMEOUT_SECONDS, publish
from publisher.sessions import OPENING_TIMEOUT_SECONDS, Sessions

if TYPE_CHECKING:
    from collections.abc import Iterable

    from publisher.request import Message
    from publisher.settings import Settings

_FIRST_PAUSE_SECONDS = 0.1
_LONGEST_PAUSE_SECONDS = 2.0

_MINT_AGAIN = {Status.RESOURCE_EXHAUSTED, Status.UNAVAILABLE, Status.DEADLINE_EXCEEDED}
_REFUSED_FOR_NOW = {Status.RESOURCE_EXHAUSTED, Status.UNAVAILABLE}
# After these the message may have been published. The caller decides whether to send it again.
_UNKNOWN = {
    Status.DEADLINE_EXCEEDED,
    Status.CANCELLED,
    Status.INTERNAL,
    Status.ABORTED,
    Status.DATA_LOSS,
    Status.UNKNOWN,
}


class PublishError(Exception):
    """A message was not published, or nobody knows whether it was."""

    def __init__(self, reason: str, *, retryable: bool, refused_for_now: bool = False) -> None:
        super().__init__(reason)
        self.retryable = retryable
        """Whether the caller may succeed with the same message later."""
        self.refused_for_now = refused_for_now
        """Whether another attempt a moment later may succeed, and does no harm."""


def _check_size(text: str) -> None:
    try:
        size = len(text.encode())
    except UnicodeEncodeError:
        raise PublishError("the message holds characters that cannot be encoded", retryable=False) from None
    if size > MESSAGE_MAX_BYTES:
        reason = f"the message has {size} bytes with its id; Momento takes {MESSAGE_MAX_BYTES} at most"
        raise PublishError(reason, retryable=False)


class MessagePublisher:
    """Publishes messages on their topics, each as its user."""

    def __init__(self, settings: Settings, topics: Iterable[str]) -> None:
        """`topics` are the names of the topics that it may publish on."""
        self._cache_name = settings.momento.cache_name
        self._sessions = Sessions(settings, topics)

    def publish(self, message: Message, deadline: float) -> None:
        """Publish a message. While Momento refuses it for now, try again.

        Start no attempt that may not end by `deadline`, in seconds of `time.monotonic`. Raise `PublishError`.
        """
        _check_size(message.text)
        if self._latest_start(message.user_id, deadline) < time.monotonic():
            raise PublishError("no time was left to try", retryable=True)
        for pause in pauses(_FIRST_PAUSE_SECONDS, _LONGEST_PAUSE_SECONDS):
            try:
                self._attempt(message)
                break
            except PublishError as error:
                next_start = time.monotonic() + pause
                if not error.refused_for_now or self._latest_start(message.user_id, deadline) < next_start:
                    raise
            time.sleep(pause)

    def _latest_start(self, user_id: str, deadline: float) -> float:
        opening = 0 if self._sessions.get(user_id) else OPENING_TIMEOUT_SECONDS
        return deadline - opening - PUBLISH_TIMEOUT_SECONDS

    def _attempt(self, message: Message) -> None:
        kept_session = self._sessions.get(message.user_id)
        try:
            session = kept_session or self._sessions.open(message.user_id)
        except MintingError as error:
            # Nothing was published. Only an argument that Momento refuses is the message's own fault.
            raise PublishError(
                str(error),
                retryable=error.status is not Status.INVALID_ARGUMENT,
                refused_for_now=error.status in _MINT_AGAIN,
            ) from error
        except InvalidApiKeyError as error:
            raise PublishError(str(error), retryable=True) from error
        except ApiKeyError as error:
            raise PublishError(str(error), retryable=True, refused_for_now=True) from error
        try:
            publish(session.credentials, self._cache_name, message.topic, message.text)
        except MomentoError as error:
            # After UNAVAILABLE it may have been published, too. The message's id makes a second one harmless.
            refused_for_now = error.status in _REFUSED_FOR_NOW
            if error.status is Status.UNAUTHENTICATED:
                self._sessions.end(message.user_id)
                # The token was good when it was kept, so a new one may be good.
                refused_for_now = kept_session is not None
            raise PublishError(
                str(error),
                retryable=refused_for_now or error.status in _UNKNOWN,
                refused_for_now=refused_for_now,
            ) from error
