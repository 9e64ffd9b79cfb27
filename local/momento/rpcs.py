"""Momento's RPCs: their names in fault injection, and the access that they need.

Conditional writes need read access too, because their answer tells whether the write took place
(`CacheWriteOnly` in Momento's permissionmessages.proto). Popping and incrementing are writes: Momento's
permissions page lists `listPopFront` and `sortedSetIncrementScore` as such.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum, Flag, auto
from typing import Any

from google.protobuf.descriptor import ServiceDescriptor
from momento_wire_types import cacheclient_pb2, cachepubsub_pb2, controlclient_pb2, token_pb2


class Access(Flag):
    """The access that a call needs or a role grants. For topics, READ is subscribe and WRITE is publish."""

    NONE = 0
    READ = auto()
    WRITE = auto()


READ, WRITE, READ_WRITE = Access.READ, Access.WRITE, Access.READ | Access.WRITE


class Area(Enum):
    """The service of a call, which determines the kind of permission that it needs."""

    CACHE = "cache_client.Scs"
    TOPIC = "cache_client.pubsub.Pubsub"
    CONTROL = "control_client.ScsControl"
    TOKEN = "token.Token"  # noqa: S105


_CACHE_ACCESS = {
    "Get": READ,
    "GetWithHash": READ,
    "GetBatch": READ,
    "Set": WRITE,
    "SetBatch": WRITE,
    "SetIf": READ_WRITE,
    "SetIfHash": READ_WRITE,
    "SetIfNotExists": READ_WRITE,
    "Delete": WRITE,
    "KeysExist": READ,
    "Increment": WRITE,
    "UpdateTtl": READ_WRITE,
    "ItemGetTtl": READ,
    "ItemGetType": READ,
    "DictionaryGet": READ,
    "DictionaryFetch": READ,
    "DictionarySet": WRITE,
    "DictionaryIncrement": WRITE,
    "DictionaryDelete": WRITE,
    "DictionaryLength": READ,
    "SetFetch": READ,
    "SetSample": READ,
    "SetUnion": WRITE,
    "SetDifference": WRITE,
    "SetContains": READ,
    "SetLength": READ,
    "SetPop": WRITE,
    "ListPushFront": WRITE,
    "ListPushBack": WRITE,
    "ListPopFront": WRITE,
    "ListPopBack": WRITE,
    "ListErase": WRITE,
    "ListRemove": WRITE,
    "ListFetch": READ,
    "ListLength": READ,
    "ListConcatenateFront": WRITE,
    "ListConcatenateBack": WRITE,
    "ListRetain": WRITE,
    "SortedSetPut": WRITE,
    "SortedSetFetch": READ,
    "SortedSetGetScore": READ,
    "SortedSetRemove": WRITE,
    "SortedSetIncrement": WRITE,
    "SortedSetGetRank": READ,
    "SortedSetLength": READ,
    "SortedSetLengthByScore": READ,
    "SortedSetUnionStore": WRITE,
}
_TOPIC_ACCESS = {"Publish": WRITE, "Subscribe": READ}

# The SDKs' test middlewares use the method's name in kebab case, with these exceptions.
_FAULT_NAMES = {
    "Publish": "topic-publish",
    "Subscribe": "topic-subscribe",
    "SetIfNotExists": "set-if",
    "ListErase": "list-remove",
}

_KEY_FIELDS = ("cache_key", "dictionary_name", "set_name", "list_name")


@dataclass(frozen=True)
class Rpc:
    """One RPC. `fault_name` is its name in fault injection; `access` is NONE outside caches and topics."""

    area: Area
    fault_name: str
    access: Access

    def item_accesses(self, request: Any) -> Iterator[tuple[bytes, Access]]:
        """Yield every key in a cache request, with the access that the request needs to it."""
        fields = request.DESCRIPTOR.fields_by_name
        for field in _KEY_FIELDS:
            if field in fields:
                yield getattr(request, field), self.access
        if "cache_keys" in fields:
            for key in request.cache_keys:
                yield key, self.access
        if isinstance(request, cacheclient_pb2._GetBatchRequest | cacheclient_pb2._SetBatchRequest):
            for item in request.items:
                yield item.cache_key, self.access
        if isinstance(request, cacheclient_pb2._SortedSetUnionStoreRequest):
            for source in request.sources:
                yield source.set_name, READ


def _kebab_case(method: str) -> str:
    return re.sub(r"(?<!^)(?=[A-Z])", "-", method).lower()


def _rpcs(service: ServiceDescriptor, accesses: dict[str, Access] | None = None) -> Iterator[tuple[str, Rpc]]:
    for method in service.methods:
        fault_name = _FAULT_NAMES.get(method.name) or _kebab_case(method.name)
        # A method that is missing from the table is an error here, so no call is unprotected.
        access = Access.NONE if accesses is None else accesses[method.name]
        rpc = Rpc(Area(service.full_name), fault_name, access)
        yield f"/{service.full_name}/{method.name}", rpc


RPCS: dict[str, Rpc] = dict(
    [
        *_rpcs(cacheclient_pb2.DESCRIPTOR.services_by_name["Scs"], _CACHE_ACCESS),
        *_rpcs(cachepubsub_pb2.DESCRIPTOR.services_by_name["Pubsub"], _TOPIC_ACCESS),
        *_rpcs(controlclient_pb2.DESCRIPTOR.services_by_name["ScsControl"]),
        *_rpcs(token_pb2.DESCRIPTOR.services_by_name["Token"]),
    ]
)
"""All RPCs by their gRPC path, such as `/cache_client.Scs/Get`."""
