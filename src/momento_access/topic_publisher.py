"""Publishing on topics, for many users over one connection.

Momento's SDK binds a client, and so its connection, to one token. Here the generated stub sends the token of
each message's user with the call.
"""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING

from momento_wire_types import cachepubsub_pb2 as messages
from momento_wire_types import cachepubsub_pb2_grpc as service

from momento_access.connection import StubConnection, call_metadata

if TYPE_CHECKING:
    from momento_access.credentials import Credentials

PUBLISH_TIMEOUT_SECONDS = 2
"""How long publishing takes at most."""

MESSAGE_MAX_BYTES = 4096
"""Bytes of a message that Momento accepts."""


def publish(credentials: Credentials, cache: str, topic: str, text: str) -> None:
    """Publish a message under the identity in the credentials. Raise `MomentoError`."""
    request = messages._PublishRequest(cache_name=cache, topic=topic, value=messages._TopicValue(text=text))
    metadata = call_metadata(credentials, "topic")
    connection = _connection(credentials.cache_endpoint, credentials.port)
    connection.call("Publish", request, PUBLISH_TIMEOUT_SECONDS, metadata)


@functools.lru_cache(maxsize=1)
def _connection(endpoint: str, port: int) -> StubConnection:
    return StubConnection(service.PubsubStub, endpoint, port)
