"""Publishing a comment as a user, again and again while Momento refuses it for now and time is left."""

from __future__ import annotations

import random
import time
from typing import TYPE_CHECKING

from aws_lambda_powertools.utilities.parameters.exceptions import GetParameterError
from grpc import StatusCode

from momento_access.channels import MomentoError
from momento_access.tokens import MintingError
from momento_access.topics import PUBLISH_TIMEOUT_SECONDS, publish
from publisher.sessions import OPENING_TIMEOUT_SECONDS, Sessions

if TYPE_CHECKING:
    from comment import Comment
    from publisher.settings import Settings

MESSAGE_MAX_BYTES = 4096
"""Bytes of a message that Momento accepts."""

_FIRST_PAUSE_SECONDS = 0.1
_LONGEST_PAUSE_SECONDS = 2.0

# Copies of this process, as SnapStart makes them, are not to pause for the same time.
_random = random.SystemRandom()

_MINT_AGAIN = {StatusCode.RESOURCE_EXHAUSTED, StatusCode.UNAVAILABLE, StatusCode.DEADLINE_EXCEEDED}
_REFUSED_FOR_NOW = {StatusCode.RESOURCE_EXHAUSTED, StatusCode.UNAVAILABLE}
# After these the message may have been published all the same: trying again is for the caller to decide.
_UNKNOWN = {
    StatusCode.DEADLINE_EXCEEDED,
    StatusCode.CANCELLED,
    StatusCode.INTERNAL,
    StatusCode.ABORTED,
    StatusCode.DATA_LOSS,
}


class PublishError(Exception):
    """A message was not published, or nobody knows whether it was."""

    def __init__(self, reason: str, *, retryable: bool, refused_for_now: bool = False) -> None:
        super().__init__(reason)
        self.retryable = retryable
        """Whether the caller may succeed with the same message later."""
        self.refused_for_now = refused_for_now
        """Whether it was not published, and a moment later may be."""


class Publisher:
    """Publishes comments on the topic, each as its user."""

    def __init__(self, settings: Settings) -> None:
        self._momento = settings.momento
        self._sessions = Sessions(settings)

    def publish(self, user_id: str, comment: Comment, deadline: float) -> None:
        """Publishes a comment as a user; where Momento refuses it for now, tries again while time is left.

        Begins no attempt that might not end by `deadline`, on the clock of `time.monotonic`. Raises
        `PublishError`.
        """
        message = _checked_message(comment)
        if self._latest_start(user_id, deadline) < time.monotonic():
            raise PublishError("no time was left to try", retryable=True)
        longest_pause = _FIRST_PAUSE_SECONDS
        while True:
            try:
                return self._attempt(user_id, message)
            except PublishError as error:
                pause = _random.uniform(0, longest_pause)
                if not error.refused_for_now:
                    raise
                if self._latest_start(user_id, deadline) < time.monotonic() + pause:
                    raise
            time.sleep(pause)
            longest_pause = min(longest_pause * 2, _LONGEST_PAUSE_SECONDS)

    def _latest_start(self, user_id: str, deadline: float) -> float:
        opening = 0 if self._sessions.get(user_id) else OPENING_TIMEOUT_SECONDS
        return deadline - opening - PUBLISH_TIMEOUT_SECONDS

    def _attempt(self, user_id: str, message: str) -> None:
        kept_session = self._sessions.get(user_id)
        try:
            session = kept_session or self._sessions.open(user_id)
        except MintingError as error:
            again = error.code in _MINT_AGAIN
            raise PublishError(str(error), retryable=again, refused_for_now=again) from error
        except GetParameterError as error:
            reason = "the Momento API key could not be read"
            raise PublishError(reason, retryable=True, refused_for_now=True) from error
        try:
            publish(session.credentials, self._momento.cache_name, self._momento.topic_name, message)
        except MomentoError as error:
            refused_for_now = error.code in _REFUSED_FOR_NOW
            if error.code is StatusCode.UNAUTHENTICATED:
                self._sessions.end(user_id)
                # Where a token that was good is no longer, a new one may be.
                refused_for_now = kept_session is not None
            raise PublishError(
                str(error),
                retryable=refused_for_now or error.code in _UNKNOWN,
                refused_for_now=refused_for_now,
            ) from error


def _checked_message(comment: Comment) -> str:
    message = comment.to_message()
    try:
        size = len(message.encode())
    except UnicodeEncodeError:
        raise PublishError("comment holds characters that cannot be encoded", retryable=False) from None
    if size > MESSAGE_MAX_BYTES:
        reason = f"the message has {size} bytes; Momento takes {MESSAGE_MAX_BYTES} at most"
        raise PublishError(reason, retryable=False)
    return message
