"""The operations on a cache that topics need."""

from __future__ import annotations

from typing import TYPE_CHECKING

from momento_wire_types import cacheclient_pb2 as messages
from momento_wire_types import cacheclient_pb2_grpc as service

from momento_access.channels import Connection, call_metadata

if TYPE_CHECKING:
    from datetime import timedelta

    from momento_access.credentials import Credentials

CALL_TIMEOUT_SECONDS = 1
"""How long each operation takes at most."""


class Cache:
    """One cache. All operations raise `MomentoError`."""

    def __init__(self, name: str, credentials: Credentials) -> None:
        self._connection = Connection(service.ScsStub, credentials.cache_endpoint, credentials.port)
        self._metadata = (*call_metadata(credentials, "cache"), ("cache", name))

    def list_push_front(self, list_name: str, value: bytes, *, ttl: timedelta, max_length: int) -> None:
        """Puts a value in front of a list, which loses those at its end, and lives for `ttl` anew."""
        request = messages._ListPushFrontRequest(
            list_name=list_name.encode(),
            value=value,
            ttl_milliseconds=int(ttl.total_seconds() * 1000),
            refresh_ttl=True,
            truncate_back_to_size=max_length,
        )
        self._connection.call("ListPushFront", request, CALL_TIMEOUT_SECONDS, self._metadata)

    def list_fetch(self, list_name: str) -> list[bytes]:
        """The values of a list, none where there is no such list."""
        request = messages._ListFetchRequest(list_name=list_name.encode())
        answer = self._connection.call("ListFetch", request, CALL_TIMEOUT_SECONDS, self._metadata)
        return list(answer.found.values)

    def close(self) -> None:
        """Ends the connection."""
        self._connection.close()
