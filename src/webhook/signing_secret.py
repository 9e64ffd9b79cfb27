"""The signing secret, also while it is rotated: requests are then signed with either version of it."""

from __future__ import annotations

from momento_access.secrets import read_previous_secret, read_secret, reread_secret
from webhook.signature import UntrustedError, is_signed


class SigningSecret:
    """The secret that requests are signed with, in its current and its previous version."""

    def __init__(self, name: str) -> None:
        """`name` is the secret's name or ARN."""
        self._name = name
        self._current: str | None = None
        self._previous: str | None = None

    def verify(self, body: bytes, signature: str | None) -> None:
        """Raises `UntrustedError` unless the body is signed with one of the secret's two versions.

        Where those that are known do not fit, looks whether the secret has been rotated, every few seconds at
        most. Raises `GetParameterError` where the secret cannot be read.
        """
        if signature is None:
            raise UntrustedError("no signature")
        self._note_current()
        if self._fits(body, signature):
            return
        if reread_secret(self._name):
            # The previous one first: where it cannot be read, the change is still to be noted next time.
            self._previous = read_previous_secret(self._name)
            self._current = read_secret(self._name)
            if self._fits(body, signature):
                return
        raise UntrustedError("wrong signature")

    def _note_current(self) -> None:
        current = read_secret(self._name)
        if self._current not in {None, current}:
            self._previous = read_previous_secret(self._name)
        self._current = current

    def _fits(self, body: bytes, signature: str) -> bool:
        return any(
            version and is_signed(body, signature, version) for version in (self._current, self._previous)
        )
