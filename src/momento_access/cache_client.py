"""Momento's own `CacheClient`, made for Lambda, for the handlers of topics."""

from __future__ import annotations

import logging
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from momento import CacheClient, CredentialProvider
from momento.config import Configuration
from momento.config.transport.transport_strategy import StaticGrpcConfiguration, StaticTransportStrategy
from momento.responses.mixins import ErrorResponseMixin
from momento.retry import FixedCountRetryStrategy

from momento_access.connection import Connection
from momento_access.errors import MomentoError, Status

if TYPE_CHECKING:
    from momento_access.credentials import Credentials

CALL_TIMEOUT_SECONDS = 1
"""How long each call takes at most."""

_DEFAULT_TTL = timedelta(days=1)

# The SDK also logs, as text over many lines, each error that is raised here.
logging.getLogger("momentosdk").setLevel(logging.ERROR)

# With the keepalive of the SDK's other presets, because the one for Lambda has none and cannot tell that a
# connection hangs. Without retries, because a write that has timed out may have been made.
_CONFIGURATION = Configuration(
    StaticTransportStrategy(StaticGrpcConfiguration(deadline=timedelta(seconds=CALL_TIMEOUT_SECONDS))),
    FixedCountRetryStrategy(max_attempts=0),
)


class RaisingCacheClient:
    """Has the methods of `CacheClient`, whose errors it raises as `MomentoError` instead of returning them.

    So the code of a topic cannot take a write that failed for one that was made. A connection that may be bad
    is replaced.

    >>> cache.set("course-comments", "key", "value")  # returns CacheSet.Success, or raises MomentoError
    """

    def __init__(self, credentials: Credentials) -> None:
        provider = CredentialProvider(
            auth_token=credentials.auth_token,
            control_endpoint=credentials.cache_endpoint,  # For creating caches, which no token here may do.
            cache_endpoint=credentials.cache_endpoint,
            token_endpoint=credentials.token_endpoint,
            port=credentials.port,
        )
        self._connection = Connection(
            lambda: CacheClient(_CONFIGURATION, provider, _DEFAULT_TTL),
            lambda client: client.__exit__(None, None, None),
        )

    def __getattr__(self, name: str) -> Any:
        def call(*arguments: Any, **options: Any) -> Any:
            return self._connection.call(
                lambda client: _checked(getattr(client, name)(*arguments, **options))
            )

        return call

    def close(self) -> None:
        """Close the connection. The next call opens another."""
        self._connection.close()


def _checked(response: object) -> object:
    if not isinstance(response, ErrorResponseMixin):
        return response
    details = response.inner_exception.transport_details
    if details is None:  # The SDK has refused an argument, such as a score that is no float.
        error = MomentoError(Status.INVALID_ARGUMENT, f"{response.message}:")
    else:
        error = MomentoError(Status(details.grpc.code.name))
    raise error from response.inner_exception
