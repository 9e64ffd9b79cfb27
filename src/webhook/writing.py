"""Writes to the cache: what a topic's function returns, and the connection over which it is made."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

from momento import CacheClient, Configurations
from momento.errors import MomentoErrorCode
from momento.responses.mixins import ErrorResponseMixin

from momento_access.credentials import api_key_credentials, changed_api_key_credentials

if TYPE_CHECKING:
    from collections.abc import Callable

    from momento import CredentialProvider
    from momento.responses.response import CacheResponse

    from webhook.settings import Settings

_CALL_TIMEOUT = timedelta(seconds=1)


class WriteError(Exception):
    """Momento did not answer as asked: it did not take a write, or nobody knows whether it did."""

    def __init__(self, code: MomentoErrorCode) -> None:
        super().__init__(f"Momento answered {code.name}")
        self.code = code


def check(response: CacheResponse) -> None:
    """Raises `WriteError` where the response is an error."""
    if isinstance(response, ErrorResponseMixin):
        raise WriteError(response.error_code)


@dataclass(frozen=True)
class Write:
    """What a message asks to be written. Both functions raise `WriteError`."""

    make: Callable[[CacheClient], None]
    """Makes the write."""
    is_made: Callable[[CacheClient], bool]
    """Whether it was made, asked only where an earlier attempt may have."""


class CacheWriter:
    """Makes writes over a connection that is kept, and made anew where it broke or the API key changed."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._credentials: CredentialProvider | None = None
        self._client: CacheClient | None = None
        self._connection = ExitStack()

    def make(self, write: Write, *, look_first: bool) -> bool:
        """Makes a write, with `look_first` unless it is there already; returns whether it was not.

        Raises `WriteError`, or `GetParameterError` where the API key cannot be read.
        """
        try:
            cache = self._connected_client()
            if look_first and write.is_made(cache):
                return False
            write.make(cache)
        except WriteError as error:
            if error.code is MomentoErrorCode.SERVER_UNAVAILABLE:
                self._disconnect()
            raise
        return True

    def may_succeed_now(self, error: WriteError) -> bool:
        """Whether another attempt, right now, may succeed where this one has failed."""
        if error.code is MomentoErrorCode.AUTHENTICATION_ERROR and self._credentials:
            # The key may have been rotated.
            return changed_api_key_credentials(self._credentials, self._settings.momento) is not None
        # A connection that was cut while Lambda kept the function frozen shows only when it is used.
        return error.code is MomentoErrorCode.SERVER_UNAVAILABLE

    def _connected_client(self) -> CacheClient:
        credentials = api_key_credentials(self._settings.momento)
        if self._client is None or credentials != self._credentials:
            self._disconnect()
            configuration = Configurations.Lambda.latest().with_client_timeout(_CALL_TIMEOUT)
            self._client = self._connection.enter_context(
                CacheClient(configuration, credentials, self._settings.comment_ttl)
            )
            self._credentials = credentials
        return self._client

    def _disconnect(self) -> None:
        """Makes the next write connect anew, which a client by itself does up to two minutes later."""
        self._connection.close()
        self._client = None
