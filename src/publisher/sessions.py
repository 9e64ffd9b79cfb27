"""A session for each user: a token that carries their identity, kept until shortly before it expires."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from cachetools import TLRUCache

from momento_access.credentials import token_credentials
from momento_access.permissions import Permissions
from momento_access.tokens import MINT_TIMEOUT_SECONDS, mint_token

if TYPE_CHECKING:
    from collections.abc import Iterable

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
    """Epoch seconds, some time before its token expires."""


class Sessions:
    """The sessions of the users who published most recently."""

    def __init__(self, settings: Settings, topics: Iterable[str]) -> None:
        self._settings = settings
        self._permissions = Permissions(publish=frozenset(topics))
        self._by_user: TLRUCache[str, Session] = TLRUCache(
            _MAX_SESSIONS, ttu=lambda _user_id, session, _now: session.ends_at, timer=time.time
        )

    def get(self, user_id: str) -> Session | None:
        """Return the user's session, if there is one."""
        return self._by_user.get(user_id)

    def open(self, user_id: str) -> Session:
        """Open a session for the user, with a new token. Raise `MintingError` or `ApiKeyError`."""
        lifetime = self._settings.token_lifetime_seconds
        token = mint_token(self._settings.momento, user_id, self._permissions, lifetime)
        session = self._by_user[user_id] = Session(
            token_credentials(token.auth_token, self._settings.momento),
            ends_at=token.expires_at - lifetime * _UNUSED_SHARE_OF_LIFETIME,
        )
        return session

    def end(self, user_id: str) -> None:
        """End the user's session."""
        self._by_user.pop(user_id, None)
