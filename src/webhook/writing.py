"""Writes to the cache: what a topic's function returns, and the connection over which it is made."""

from __future__ import annotations

from contextlib import ExitStack
from typing import TYPE_CHECKING

from momento import CacheClient, Configurations
from momento.errors import MomentoErrorCode
from momento.responses.mixins import ErrorResponseMixin

from momento_access.credentials import api_key_credentials

if TYPE_CHECKING:
    from collections.abc import Callable

    from momento import CredentialProvider
    from momento.responses.response import CacheResponse

    from webhook.settings import Settings

    Write = Callable[[CacheClient], None]
    """Makes the write, or raises `WriteError`."""


class WriteError(Exception):
    """Momento did not take a write, or nobody knows whether it did."""

    def __init__(self, code: MomentoErrorCode) -> None:
        super().__init__(f"Momento answered {code.name}")
        self.unavailable = code is MomentoErrorCode.SERVER_UNAVAILABLE


def check(response: CacheResponse) -> None:
    """Raises `WriteError` where the response is an error."""
    if isinstance(response, ErrorResponseMixin):
        raise WriteError(response.error_code)


class CacheWriter:
    """Makes writes over a connection that is kept, and made anew where it broke or the API key changed."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._credentials: CredentialProvider | None = None
        self._client: CacheClient | None = None
        self._connection = ExitStack()

    def make(self, write: Write) -> None:
        """Makes a write; raises `WriteError`, or `GetParameterError` where the API key cannot be read."""
        try:
            self._try(write)
        except WriteError as error:
            if not error.unavailable:
                raise
            # A connection that was cut while Lambda kept the function frozen shows only when it is used.
            self._try(write)

    def _try(self, write: Write) -> None:
        try:
            write(self._connected_client())
        except WriteError as error:
            if error.unavailable:
                self._disconnect()
            raise

    def _connected_client(self) -> CacheClient:
        credentials = api_key_credentials(self._settings.momento)
        if self._client is None or credentials != self._credentials:
            self._disconnect()
            self._client = self._connection.enter_context(
                CacheClient(Configurations.Lambda.latest(), credentials, self._settings.comment_ttl)
            )
            self._credentials = credentials
        return self._client

    def _disconnect(self) -> None:
        """Makes the next write connect anew, which a client by itself does up to two minutes later."""
        self._connection.close()
        self._client = None
