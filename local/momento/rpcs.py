"""Momento's RPCs: what each is called in fault injection, and what access it needs to what.

A write-only role permits no conditional write (`CacheWriteOnly` in Momento's permissionmessages.proto):
a caller that learns whether its write took place reads as well. Taking elements out of a collection and
incrementing are writes (Momento's permissions page names `listPopFront` and `sortedSetIncrementScore`).
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum, Flag, auto
from typing import Any

from google.protobuf.descriptor import ServiceDescriptor
from momento_wire_types import cacheclient_pb2, cachepubsub_pb2, controlclient_pb2, token_pb2


class Access(Flag):
    """What a call does, and what a role allows. For topics, reading is subscribing, writing publishing."""

    NONE = 0
    READ = auto()
    WRITE = auto()


READ, WRITE, READ_WRITE = Access.READ, Access.WRITE, Access.READ | Access.WRITE


class Area(Enum):
    """What a call is about, and thus which kind of permission covers it."""

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

# Where the SDKs' test middlewares do not simply spell the method's name in kebab case.
_FAULT_NAMES = {
    "Publish": "topic-publish",
    "Subscribe": "topic-subscribe",
    "SetIfNotExists": "set-if",
    "ListErase": "list-remove",
}

_KEY_FIELDS = ("cache_key", "dictionary_name", "set_name", "list_name")


@dataclass(frozen=True)
class Rpc:
    """One RPC. `fault_name` is how fault injection names it; `access` is NONE outside caches and topics."""

    area: Area
    fault_name: str
    access: Access

    def item_accesses(self, request: Any) -> Iterator[tuple[bytes, Access]]:
        """Every key that a cache request touches, with the access it needs to that key."""
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
        # A method that the table does not know is an error here, rather than a call that everybody may make.
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
"""By the path under which gRPC calls them, such as `/cache_client.Scs/Get`."""
