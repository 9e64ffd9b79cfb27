"""Vending tokens: one for each identity and its permissions, given again while half of its life is left."""

from __future__ import annotations

import functools
import math
import operator
import time
from typing import TYPE_CHECKING, Any

from cachetools import LRUCache, TLRUCache

from common.inputs import InvalidInputError
from momento_access.credentials import api_key_credentials
from momento_access.permissions import STATEMENTS_MAX, Permissions
from momento_access.tokens import MintingLimitError, Token, mint_token

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from token_vendor.settings import Settings
    from topics.topic import Topic

_MAX_TOKENS_KEPT = 1000
_MAX_IDENTITIES_LIMITED = 10_000
_MINTS_AT_ONCE = 10
_SECONDS_BETWEEN_MINTS = 2


class TooManyTokensError(Exception):
    """One identity has asked for too many different tokens."""

    def __init__(self, retry_after_seconds: int) -> None:
        super().__init__(f"too many tokens for one identity; the next one in {retry_after_seconds} s")
        self.retry_after_seconds = retry_after_seconds


class TokenVendor:
    """Mints tokens, no more than needed: Momento mints 5 a second for a whole account."""

    def __init__(self, settings: Settings, topics: Mapping[str, Topic[Any]]) -> None:
        self._settings = settings
        self._topics = topics
        self._limit = _MintLimit()
        self._tokens: TLRUCache[tuple[object, ...], Token] = TLRUCache(
            _MAX_TOKENS_KEPT, ttu=_half_of_its_life, timer=time.time
        )

    def token(
        self, identity: str, claims: Mapping[str, object], reads: Mapping[str, Sequence[object]]
    ) -> Token:
        """Return a token for the identity, with what the topics permit, and half of its life left at least.

        Raise `InvalidInputError`, `NotPermittedError`, `TooManyTokensError`, `MintingError` or `ApiKeyError`.
        """
        permissions = self._permissions(claims, reads)
        # With the API key, because the tokens of a replaced key may stop working when that key is revoked.
        wanted = (api_key_credentials(self._settings.momento), identity, permissions)
        token = self._tokens.get(wanted)
        if token is None:
            self._limit.check(identity)
            lifetime = self._settings.token_lifetime_seconds
            try:
                token = mint_token(self._settings.momento, identity, permissions, lifetime)
            except MintingLimitError:
                # It counts, so that one user who asks again and again does not keep the others out.
                self._limit.count(identity)
                raise
            self._limit.count(identity)
            self._tokens[wanted] = token
        return token

    def _permissions(
        self, claims: Mapping[str, object], reads: Mapping[str, Sequence[object]]
    ) -> Permissions:
        of_each_topic = (
            topic.permissions(claims, reads.get(name, ())) for name, topic in self._topics.items()
        )
        permissions = functools.reduce(operator.or_, of_each_topic, Permissions())
        if permissions.statements > STATEMENTS_MAX:
            raise InvalidInputError(
                f"this needs {permissions.statements} permissions, and a token has {STATEMENTS_MAX} at most;"
                " ask to read less"
            )
        return permissions


class _MintLimit:
    """Allows each identity 10 tokens at once, and then one every 2 seconds, in this process.

    It remembers for each identity when its allowance is full again (the generic cell rate algorithm), by the
    wall clock, because the monotonic one may not count the time that a function is frozen.
    """

    def __init__(self) -> None:
        self._full_at: LRUCache[str, float] = LRUCache(_MAX_IDENTITIES_LIMITED)

    def check(self, identity: str) -> None:
        """Raise `TooManyTokensError` if the identity's allowance is used up."""
        used = (self._full_at.get(identity, 0.0) - time.time()) / _SECONDS_BETWEEN_MINTS
        if used > _MINTS_AT_ONCE - 1:
            raise TooManyTokensError(math.ceil((used - _MINTS_AT_ONCE + 1) * _SECONDS_BETWEEN_MINTS))

    def count(self, identity: str) -> None:
        """Take one token from the identity's allowance."""
        now = time.time()
        self._full_at[identity] = max(self._full_at.get(identity, now), now) + _SECONDS_BETWEEN_MINTS


def _half_of_its_life(_wanted: object, token: Token, now: float) -> float:
    return (now + token.expires_at) / 2
