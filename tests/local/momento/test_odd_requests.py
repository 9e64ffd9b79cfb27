"""Requests that no SDK sends, but that protobuf allows: each gets an answer or a status that says why not."""

import random
from itertools import chain
from typing import Any

import grpc
import pytest
from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass
from momento_wire_types import cacheclient_pb2 as pb
from momento_wire_types import cachepubsub_pb2, controlclient_pb2, token_pb2

from local.momento.server import MomentoServer, Timings
from local.momento.store import Caches, Dictionary, List, Set, SortedSet, Value
from tests.support.momento_connections import Connect, Rpcs, StartMomento

REQUESTS_PER_RPC = 30
TYPES = ("scalar", "number", "dictionary", "set", "list", "sorted_set")

METHODS = list(
    chain.from_iterable(
        service.methods
        for service in (
            pb.DESCRIPTOR.services_by_name["Scs"],
            cachepubsub_pb2.DESCRIPTOR.services_by_name["Pubsub"],
            token_pb2.DESCRIPTOR.services_by_name["Token"],
            controlclient_pb2.DESCRIPTOR.services_by_name["ScsControl"],
        )
    )
)


def integers(bits: int, *, signed: bool) -> tuple[int, ...]:
    highest = 2 ** (bits - signed) - 1
    return (0, 1, 2, 1000, highest, *((-1, -highest - 1) if signed else ()))


ODD_VALUES: dict[int, tuple[Any, ...]] = {
    FieldDescriptor.CPPTYPE_INT32: integers(32, signed=True),
    FieldDescriptor.CPPTYPE_INT64: integers(64, signed=True),
    FieldDescriptor.CPPTYPE_UINT32: integers(32, signed=False),
    FieldDescriptor.CPPTYPE_UINT64: integers(64, signed=False),
    FieldDescriptor.CPPTYPE_DOUBLE: (0.0, -0.0, 1.5, 1e308, -1e308, *map(float, ("inf", "-inf", "nan"))),
    FieldDescriptor.CPPTYPE_FLOAT: (0.0, 1.5, 3e38, *map(float, ("inf", "-inf", "nan"))),
    FieldDescriptor.CPPTYPE_BOOL: (False, True),
    FieldDescriptor.CPPTYPE_ENUM: (0, 1, 2, 7, -1),
}
TEXTS = ("", " ", "cache", "é\n\0", "x" * 200)
BYTES = (b"", b"\xff", b"9" * 19, *(name.encode() for name in TYPES))


def fill(message: Message, dice: random.Random) -> None:
    """Set some of the message's fields, and theirs, to odd values."""
    for field in message.DESCRIPTOR.fields:
        if dice.random() < 0.2:
            continue
        if field.message_type is not None:
            if field.is_repeated:
                for _ in range(dice.randrange(4)):
                    fill(getattr(message, field.name).add(), dice)
            else:
                getattr(message, field.name).SetInParent()
                fill(getattr(message, field.name), dice)
            continue
        if field.type == FieldDescriptor.TYPE_BYTES:
            values: tuple[Any, ...] = BYTES
        elif field.type == FieldDescriptor.TYPE_STRING:
            values = TEXTS
        else:
            values = ODD_VALUES[field.cpp_type]
        if field.is_repeated:
            getattr(message, field.name).extend(dice.choices(values, k=dice.randrange(4)))
        else:
            setattr(message, field.name, dice.choice(values))


def store_one_of_each_type(caches: Caches) -> None:
    caches.ensure("cache")
    cache = caches["cache"]
    values: tuple[Value, ...] = (
        b"value",
        b"9223372036854775807",
        Dictionary({b"scalar": b"1"}),
        Set({b"scalar", b"set"}),
        List([b"scalar"]),
        SortedSet({b"scalar": 1e308, b"set": -1.0}),
    )
    for name, value in zip(TYPES, values, strict=True):
        cache.store(name.encode(), value, ttl_milliseconds=60_000)


async def status_of(call: Any) -> grpc.StatusCode:
    try:
        if isinstance(call, grpc.aio.UnaryStreamCall):
            # Enough of a subscription to see where it begins.
            for _ in range(3):
                await call.read()
            call.cancel()
        else:
            await call
    except grpc.aio.AioRpcError as error:
        return error.code()
    return grpc.StatusCode.OK


async def test_no_request_makes_the_server_fail(start_momento: StartMomento, connect: Connect) -> None:
    momento = await start_momento(timings=Timings(heartbeat=0.001))
    rpcs = await connect(momento).rpcs()
    dice = random.Random(1)  # noqa: S311
    for method in METHODS:
        for _ in range(REQUESTS_PER_RPC):
            store_one_of_each_type(momento._caches)
            request: Any = GetMessageClass(method.input_type)()
            fill(request, dice)
            if method.name == "GenerateDisposableToken":
                request.auth_token = momento.api_key
            status = await status_of(getattr(rpcs, method.name)(request))
            assert status not in {grpc.StatusCode.UNKNOWN, grpc.StatusCode.INTERNAL}, (method.name, request)


@pytest.mark.parametrize(
    ("method", "request_"),
    [
        ("SetIf", pb._SetIfRequest(cache_key=b"scalar", cache_body=b"x", ttl_milliseconds=1000)),
        ("SetIfHash", pb._SetIfHashRequest(cache_key=b"scalar", cache_body=b"x", ttl_milliseconds=1000)),
        ("UpdateTtl", pb._UpdateTtlRequest(cache_key=b"scalar")),
        ("DictionaryDelete", pb._DictionaryDeleteRequest(dictionary_name=b"dictionary")),
        ("SetDifference", pb._SetDifferenceRequest(set_name=b"set")),
        ("SetDifference", pb._SetDifferenceRequest(set_name=b"set", subtrahend={})),
        ("ListErase", pb._ListEraseRequest(list_name=b"list")),
        ("ListRemove", pb._ListRemoveRequest(list_name=b"list")),
        ("SortedSetRemove", pb._SortedSetRemoveRequest(set_name=b"sorted_set")),
        (
            "SortedSetUnionStore",
            pb._SortedSetUnionStoreRequest(set_name=b"sorted_set", ttl_milliseconds=1000),
        ),
    ],
)
@pytest.mark.parametrize("stored", [True, False])
async def test_a_request_without_its_operand_changes_nothing(
    momento: MomentoServer, rpcs: Rpcs, method: str, request_: Message, stored: bool
) -> None:
    if stored:
        store_one_of_each_type(momento._caches)
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await getattr(rpcs, method)(request_)
    assert refused.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    keys = pb._KeysExistRequest(cache_keys=[name.encode() for name in TYPES])
    assert set((await rpcs.KeysExist(keys)).exists) == {stored}
