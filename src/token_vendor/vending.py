"""Vending tokens: one for an identity and a scope, handed out again while it has enough life left."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from cachetools import TLRUCache
from momento_wire_types import permissionmessages_pb2 as permissions

from momento_access.tokens import Token, may_read_key, may_use_topic, mint_token

if TYPE_CHECKING:
    from token_vendor.settings import Settings

_MAX_TOKENS_KEPT = 1000


class TokenVendor:
    """Mints tokens, no more often than needed: Momento mints 5 a second for a whole account."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._tokens: TLRUCache[tuple[str, frozenset[str]], Token] = TLRUCache(
            _MAX_TOKENS_KEPT, ttu=_half_of_its_life, timer=time.time
        )

    def token(self, token_id: str, comment_lists: frozenset[str]) -> Token:
        """A token with which `token_id` may use the topic and read these lists, with half of its life left.

        Raises `MintingLimitError` and `MintingError` where Momento does not mint one.
        """
        wanted = (token_id, comment_lists)
        token = self._tokens.get(wanted)
        if token is None:
            token = self._tokens[wanted] = self._mint(token_id, comment_lists)
        return token

    def _mint(self, token_id: str, comment_lists: frozenset[str]) -> Token:
        momento = self._settings.momento
        return mint_token(
            momento,
            token_id,
            [
                may_use_topic(momento.cache_name, momento.topic_name, permissions.TopicReadWrite),
                *(may_read_key(momento.cache_name, name) for name in sorted(comment_lists)),
            ],
            self._settings.token_lifetime_seconds,
        )


def _half_of_its_life(_wanted: object, token: Token, now: float) -> float:
    return (now + token.expires_at) / 2
