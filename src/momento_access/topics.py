"""Publishing on topics."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING

from momento_wire_types import cachepubsub_pb2 as messages
from momento_wire_types import cachepubsub_pb2_grpc as service

from momento_access.channels import Connection, call_metadata

if TYPE_CHECKING:
    from momento_access.credentials import Credentials

PUBLISH_TIMEOUT_SECONDS = 2
"""How long publishing takes at most."""


def publish(credentials: Credentials, cache: str, topic: str, text: str) -> None:
    """Publishes a message as whom the credentials are of; raises `MomentoError`."""
    request = messages._PublishRequest(cache_name=cache, topic=topic, value=messages._TopicValue(text=text))
    metadata = call_metadata(credentials, "topic")
    # One connection serves all users: what says who publishes goes with each call.
    connection = _connection(credentials.cache_endpoint, credentials.port)
    connection.call("Publish", request, PUBLISH_TIMEOUT_SECONDS, metadata)


@functools.lru_cache(maxsize=1)
def _connection(endpoint: str, port: int) -> Connection:
    return Connection(service.PubsubStub, endpoint, port)
