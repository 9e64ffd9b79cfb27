"""What topics act with: Momento's cache and topics, and AWS services."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

from aws_access.clients import aws_client
from momento_access.cache_client import RaisingCacheClient
from momento_access.credentials import api_key_credentials, changed_api_key_credentials
from momento_access.topic_publisher import publish

if TYPE_CHECKING:
    from momento import CacheClient

    from momento_access.credentials import Credentials
    from momento_access.settings import MomentoSettings


class WebhookServices:
    """Services with the API key as it is now; see `topics.topic.Services`."""

    def __init__(self, settings: MomentoSettings) -> None:
        self.cache_name = settings.cache_name
        self._settings = settings
        self._credentials: Credentials | None = None
        self._cache: RaisingCacheClient | None = None

    @property
    def cache(self) -> CacheClient:
        """Return the SDK's client, over a connection that is kept. Raise `ApiKeyError`."""
        credentials = self._use_current_api_key()
        if self._cache is None:
            self._cache = RaisingCacheClient(credentials)
        return cast("CacheClient", self._cache)

    def publish(self, topic: str, text: str) -> None:
        """Publish a message of the service itself. Raise `MomentoError` or `ApiKeyError`."""
        publish(self._use_current_api_key(), self.cache_name, topic, text)

    def aws_client(self, service: str) -> Any:
        """Return boto3's client of an AWS service."""
        return aws_client(service)

    def has_changed_api_key(self) -> bool:
        """Return whether the secret holds another API key than Momento has refused. Raise `ApiKeyError`."""
        if self._credentials is None:
            return False
        return changed_api_key_credentials(self._credentials, self._settings) is not None

    def _use_current_api_key(self) -> Credentials:
        credentials = api_key_credentials(self._settings)
        if credentials != self._credentials:
            self._credentials = credentials
            if self._cache is not None:
                self._cache.close()
                self._cache = None
        return credentials
