"""A session for each user: a token that carries their id, until it runs out."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from cachetools import TLRUCache
from momento_wire_types import permissionmessages_pb2 as permissions

from momento_access.credentials import token_credentials
from momento_access.tokens import MINT_TIMEOUT_SECONDS, may_use_topic, mint_token

if TYPE_CHECKING:
    from momento_access.credentials import Credentials
    from publisher.settings import Settings

OPENING_TIMEOUT_SECONDS = MINT_TIMEOUT_SECONDS
"""How long opening a session takes at most."""

_MAX_SESSIONS = 1000
_UNUSED_SHARE_OF_LIFETIME = 0.1


@dataclass(frozen=True, slots=True)
class Session:
    """What one user publishes with."""

    credentials: Credentials
    ends_at: float
    """Epoch seconds, somewhat before its token expires."""


class Sessions:
    """The sessions of the users who published last."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._by_user: TLRUCache[str, Session] = TLRUCache(
            _MAX_SESSIONS, ttu=lambda _user_id, session, _now: session.ends_at, timer=time.time
        )

    def get(self, user_id: str) -> Session | None:
        """The user's session, where there is one."""
        return self._by_user.get(user_id)

    def open(self, user_id: str) -> Session:
        """A new session for the user, with a token of its own; raises `MintingError`."""
        momento = self._settings.momento
        lifetime = self._settings.token_lifetime_seconds
        may_publish = may_use_topic(momento.cache_name, momento.topic_name, permissions.TopicWriteOnly)
        token = mint_token(momento, user_id, [may_publish], lifetime)
        session = self._by_user[user_id] = Session(
            token_credentials(token.auth_token, momento),
            ends_at=token.expires_at - lifetime * _UNUSED_SHARE_OF_LIFETIME,
        )
        return session

    def end(self, user_id: str) -> None:
        """Ends the user's session."""
        self._by_user.pop(user_id, None)
