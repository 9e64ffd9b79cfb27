"""`control_client.ScsControl`: caches and signing keys."""

import base64
import json
import secrets
import time

import grpc
from momento_wire_types import controlclient_pb2 as pb
from momento_wire_types import controlclient_pb2_grpc

from local.momento.calls import Call
from local.momento.errors import MomentoError
from local.momento.limits import (
    MAX_ITEM_BYTES,
    MAX_MESSAGE_BYTES,
    MAX_TTL_SECONDS,
    SUBSCRIPTIONS,
    TOPIC_OPERATIONS_PER_SECOND,
)
from local.momento.store import Caches
from local.momento.topics import Topics

# Momento's default quotas of a cache: requests and KB per second.
_TRAFFIC_RATE = 100
_THROUGHPUT_KBPS = 1024


class ControlService(controlclient_pb2_grpc.ScsControlServicer):
    """The control plane. Momento no longer has vector indexes, so their RPCs are UNIMPLEMENTED."""

    def __init__(self, caches: Caches, topics: Topics) -> None:
        self._caches = caches
        self._topics = topics
        self._signing_keys: dict[str, int] = {}

    async def CreateCache(self, request: pb._CreateCacheRequest, _: Call) -> pb._CreateCacheResponse:
        self._caches.create(request.cache_name)
        return pb._CreateCacheResponse()

    async def DeleteCache(self, request: pb._DeleteCacheRequest, _: Call) -> pb._DeleteCacheResponse:
        self._caches.delete(request.cache_name)
        self._topics.delete_cache(request.cache_name)
        return pb._DeleteCacheResponse()

    async def ListCaches(self, _request: pb._ListCachesRequest, _: Call) -> pb._ListCachesResponse:
        cache_limits = {
            "max_traffic_rate": _TRAFFIC_RATE,
            "max_throughput_kbps": _THROUGHPUT_KBPS,
            "max_item_size_kb": MAX_ITEM_BYTES // 1024,
            "max_ttl_seconds": MAX_TTL_SECONDS,
        }
        topic_limits = {
            "max_publish_rate": TOPIC_OPERATIONS_PER_SECOND,
            "max_subscription_count": SUBSCRIPTIONS,
            "max_publish_message_size_kb": MAX_MESSAGE_BYTES // 1024,
        }
        return pb._ListCachesResponse(
            cache=[
                {"cache_name": name, "cache_limits": cache_limits, "topic_limits": topic_limits}
                for name in self._caches
            ]
        )

    async def FlushCache(self, request: pb._FlushCacheRequest, _: Call) -> pb._FlushCacheResponse:
        self._caches[request.cache_name].flush()
        return pb._FlushCacheResponse()

    async def CreateSigningKey(
        self, request: pb._CreateSigningKeyRequest, _: Call
    ) -> pb._CreateSigningKeyResponse:
        """Return a key as a JSON Web Key, in which the SDKs look for its `kid`."""
        key_id = secrets.token_urlsafe(16)
        key = base64.urlsafe_b64encode(secrets.token_bytes(32)).rstrip(b"=").decode()
        expires_at = int(time.time()) + request.ttl_minutes * 60
        self._signing_keys[key_id] = expires_at
        return pb._CreateSigningKeyResponse(
            key=json.dumps({"kid": key_id, "kty": "oct", "alg": "HS256", "k": key}), expires_at=expires_at
        )

    async def RevokeSigningKey(
        self, request: pb._RevokeSigningKeyRequest, _: Call
    ) -> pb._RevokeSigningKeyResponse:
        if self._signing_keys.pop(request.key_id, None) is None:
            raise MomentoError(grpc.StatusCode.NOT_FOUND, f"Signing key not found: {request.key_id}")
        return pb._RevokeSigningKeyResponse()

    async def ListSigningKeys(
        self, _request: pb._ListSigningKeysRequest, _: Call
    ) -> pb._ListSigningKeysResponse:
        now = time.time()
        self._signing_keys = {key: expiry for key, expiry in self._signing_keys.items() if expiry > now}
        return pb._ListSigningKeysResponse(
            signing_key=[{"key_id": key, "expires_at": expiry} for key, expiry in self._signing_keys.items()]
        )

    async def CreateIndex(self, _request: pb._CreateIndexRequest, _: Call) -> pb._CreateIndexResponse:
        raise _no_indexes()

    async def DeleteIndex(self, _request: pb._DeleteIndexRequest, _: Call) -> pb._DeleteIndexResponse:
        raise _no_indexes()

    async def ListIndexes(self, _request: pb._ListIndexesRequest, _: Call) -> pb._ListIndexesResponse:
        raise _no_indexes()


def _no_indexes() -> MomentoError:
    return MomentoError(grpc.StatusCode.UNIMPLEMENTED, "There are no vector indexes")
