"""A Momento client for each user, made with a token that carries their id, until that token runs out."""

from __future__ import annotations

import time
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

from cachetools import TLRUCache
from momento import TopicClient
from momento.config import TopicConfiguration
from momento.config.transport.topic_transport_strategy import (
    StaticTopicGrpcConfiguration,
    StaticTopicTransportStrategy,
)
from momento_wire_types import permissionmessages_pb2 as permissions

from momento_access.credentials import token_credentials
from momento_access.tokens import MINT_TIMEOUT_SECONDS, may_use_topic, mint_token

if TYPE_CHECKING:
    from momento import CredentialProvider

    from publisher.settings import Settings

PUBLISH_TIMEOUT_SECONDS = 2
"""How long publishing in a session takes at most."""

OPENING_TIMEOUT_SECONDS = MINT_TIMEOUT_SECONDS
"""How long opening a session takes at most."""

_MAX_SESSIONS = 100
_UNUSED_SHARE_OF_LIFETIME = 0.1

_CONFIGURATION = TopicConfiguration(
    StaticTopicTransportStrategy(
        StaticTopicGrpcConfiguration(
            deadline=timedelta(seconds=PUBLISH_TIMEOUT_SECONDS),
            # While Lambda keeps the function frozen, keepalives could only fail.
            keepalive_permit_without_calls=False,
            keepalive_time=None,
            keepalive_timeout=None,
        )
    ),
    max_subscriptions=0,
)


@dataclass(slots=True)
class Session:
    """A client that publishes as one user."""

    client: TopicClient
    credentials: CredentialProvider
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
        credentials = token_credentials(token.auth_token, momento)
        session = Session(
            TopicClient(_CONFIGURATION, credentials),
            credentials,
            ends_at=token.expires_at - lifetime * _UNUSED_SHARE_OF_LIFETIME,
        )
        self._make_room()
        self._by_user[user_id] = session
        return session

    def reconnect(self, session: Session) -> None:
        """Makes the session connect anew: a client waits up to two minutes before it does so by itself."""
        session.client.close()
        session.client = TopicClient(_CONFIGURATION, session.credentials)

    def close(self, user_id: str) -> None:
        """Ends the user's session."""
        session = self._by_user.pop(user_id, None)
        if session is not None:
            session.client.close()

    def _make_room(self) -> None:
        for _, ended in self._by_user.expire():
            ended.client.close()
        if len(self._by_user) == _MAX_SESSIONS:
            _, unused = self._by_user.popitem()
            unused.client.close()
