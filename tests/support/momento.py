"""The local Momento on a thread of its own, and ways to publish, subscribe and read there."""

from __future__ import annotations

import asyncio
import json
import threading
import urllib.request
from datetime import timedelta
from typing import Any
from urllib.parse import urlencode

import grpc
from momento import AuthClient, CacheClient, Configurations, CredentialProvider
from momento.auth.access_control.disposable_token_scope import DisposableTokenProps
from momento.auth.access_control.disposable_token_scopes import DisposableTokenScopes
from momento.auth.access_control.permission_scope import AllTopics
from momento.config.auth_configurations import AuthConfigurations
from momento.responses import CacheListFetch, GenerateDisposableToken
from momento.utilities import ExpiresIn
from momento_wire_types import cacheclient_pb2 as cache
from momento_wire_types import cacheclient_pb2_grpc as cache_service
from momento_wire_types import cachepubsub_pb2 as pubsub
from momento_wire_types import cachepubsub_pb2_grpc as pubsub_service

from local.momento.server import MomentoServer, MomentoServerConfig, Timings
from tests.support.waiting import SECONDS

CACHE = "course-comments"
TOPIC = "comment"


class Momento:
    """A local Momento on a thread of its own, so that tests and functions may block."""

    def __init__(self, timings: Timings | None = None) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever)
        self._thread.start()
        self.server = MomentoServer(MomentoServerConfig(caches=[CACHE]), timings)
        self._run(self.server.start())
        self.address = f"{self.server.host}:{self.server.port}"
        self._channel = grpc.insecure_channel(
            self.address,
            options=[("grpc.max_reconnect_backoff_ms", 200), ("grpc.initial_reconnect_backoff_ms", 100)],
        )
        self._tokens = {"": self.server.api_key}

    def stop(self) -> None:
        self._channel.close()
        self._run(self.server.stop())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def admin(self, path: str, **query: str | int) -> None:
        """Call the test admin."""
        urllib.request.urlopen(f"{self.server.admin_url}{path}?{urlencode(query)}").close()  # noqa: S310

    def reset_topic(self, topic: str = TOPIC) -> None:
        """Forget a topic's messages, and begin to count from 0 again."""
        self.admin("/reset-topic", cache=CACHE, topic=topic)

    def credentials(self, auth_token: str | None = None) -> CredentialProvider:
        """Return the credentials of a token, or of the API key."""
        token = (
            self.server.api_key
            if auth_token is None
            else CredentialProvider.from_disposable_token(auth_token).auth_token
        )
        host = self.server.host
        return CredentialProvider(token, host, host, host, self.server.port)

    def cache_client(self, auth_token: str | None = None) -> CacheClient:
        return CacheClient(Configurations.Laptop.latest(), self.credentials(auth_token), timedelta(minutes=1))

    def entries(self, course_id: str) -> list[dict[str, Any]]:
        """Return the stored comments of a course, newest first."""
        with self.cache_client() as client:
            response = client.list_fetch(CACHE, course_id)
        if isinstance(response, CacheListFetch.Hit):
            return [json.loads(value) for value in response.value_list_string]
        assert isinstance(response, CacheListFetch.Miss), response
        return []

    def remaining_ttl_seconds(self, key: str) -> float:
        response = cache_service.ScsStub(self._channel).ItemGetTtl(
            cache._ItemGetTtlRequest(cache_key=key.encode()),
            metadata=[("authorization", self.server.api_key), ("cache", CACHE)],
        )
        millis: int = response.found.remaining_ttl_millis
        return millis / 1000

    def publish(self, *texts: str | bytes, publisher: str = "taylor", topic: str = TOPIC) -> None:
        """Publish with a token that carries the publisher's id, or with the API key if that is empty."""
        stub = pubsub_service.PubsubStub(self._channel)
        for text in texts:
            value = {"text": text} if isinstance(text, str) else {"binary": text}
            stub.Publish(
                pubsub._PublishRequest(cache_name=CACHE, topic=topic, value=value),
                metadata=[("authorization", self._token(publisher)), ("cache", CACHE)],
                wait_for_ready=True,
                timeout=SECONDS,
            )

    def subscribe(self, auth_token: str | None = None, topic: str = TOPIC) -> Subscription:
        """Subscribe to what is published from now on. Messages of earlier tests are forgotten."""
        self.reset_topic(topic)
        return Subscription(self.credentials(auth_token), topic)

    def subscribers(self) -> int:
        """Return how many subscriptions read the topic now."""
        return self.server._topics.get(CACHE, TOPIC).subscribers

    def _token(self, publisher: str) -> str:
        if publisher not in self._tokens:
            with AuthClient(AuthConfigurations.Laptop.latest(), self.credentials()) as client:
                token = client.generate_disposable_token(
                    DisposableTokenScopes.topic_publish_only(CACHE, AllTopics()),
                    ExpiresIn.minutes(5),
                    DisposableTokenProps(token_id=publisher),
                )
            assert isinstance(token, GenerateDisposableToken.Success)
            self._tokens[publisher] = self.credentials(token.auth_token).auth_token
        return self._tokens[publisher]

    def _run(self, work: Any) -> Any:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(timeout=SECONDS)


class Subscription:
    """A subscription on the wire, which (unlike the SDK's) shows who published."""

    def __init__(self, credentials: CredentialProvider, topic: str) -> None:
        self._channel = grpc.insecure_channel(f"{credentials.cache_endpoint}:{credentials.port}")
        self._items = pubsub_service.PubsubStub(self._channel).Subscribe(
            pubsub._SubscriptionRequest(cache_name=CACHE, topic=topic),
            metadata=[("authorization", credentials.auth_token)],
            timeout=60,
        )
        assert next(self._items).WhichOneof("kind") == "heartbeat"

    def __enter__(self) -> Subscription:
        return self

    def __exit__(self, *_: object) -> None:
        self._channel.close()

    def next(self) -> tuple[str, str]:
        """Wait for the next message. Return its publisher's id and its text."""
        for item in self._items:
            if item.WhichOneof("kind") == "item":
                return item.item.publisher_id, item.item.value.text
        raise AssertionError("the subscription ended")
