"""The signing secret, also while it is rotated: requests are then signed with either version."""

from __future__ import annotations

from aws_access.secrets import read_previous_secret, read_secret, reread_secret
from common.webhook_signature import is_signed


class SigningSecret:
    """The secret that requests are signed with, in its current and its previous version."""

    def __init__(self, name: str) -> None:
        """`name` is the secret's name or ARN."""
        self._name = name
        self._current: str | None = None
        self._previous: str | None = None

    def has_signed(self, body: bytes, signature: str) -> bool:
        """Return whether the signature is the body's, made with one of the secret's two versions.

        If the known versions do not fit, check whether the secret was rotated, every few seconds at most.
        Raise `SecretError`.
        """
        self._note_current()
        if self._fits(body, signature):
            return True
        if not reread_secret(self._name):
            return False
        # The previous version first: if it cannot be read, the next request must still notice the change.
        self._previous = read_previous_secret(self._name)
        self._current = read_secret(self._name)
        return self._fits(body, signature)

    def _note_current(self) -> None:
        current = read_secret(self._name)
        if self._current not in {None, current}:
            self._previous = read_previous_secret(self._name)
        self._current = current

    def _fits(self, body: bytes, signature: str) -> bool:
        return any(
            version and is_signed(body, signature, version) for version in (self._current, self._previous)
        )
