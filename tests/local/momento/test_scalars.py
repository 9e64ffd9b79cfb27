"""Scalars, and what can be asked of items of any type."""

import asyncio
from datetime import timedelta
from typing import Any

import grpc
import pytest
from momento.errors import MomentoErrorCode
from momento.responses import (
    CacheDelete,
    CacheGet,
    CacheIncrement,
    CacheListFetch,
    CacheSet,
    CacheSetIfNotExists,
)
from momento_wire_types import cacheclient_pb2 as pb

from local.momento.store import Cache, List
from tests.support.momento_connections import Rpcs


async def test_an_item_can_be_got_until_it_is_deleted(client: Any) -> None:
    assert isinstance(await client.get("cache", "key"), CacheGet.Miss)
    assert isinstance(await client.set("cache", "key", b"\x00\xff"), CacheSet.Success)
    hit = await client.get("cache", "key")
    assert isinstance(hit, CacheGet.Hit)
    assert hit.value_bytes == b"\x00\xff"
    assert isinstance(await client.delete("cache", "key"), CacheDelete.Success)
    assert isinstance(await client.get("cache", "key"), CacheGet.Miss)
    assert isinstance(await client.delete("cache", "key"), CacheDelete.Success)


async def test_an_empty_value_is_a_value(client: Any) -> None:
    await client.set("cache", "key", "")
    hit = await client.get("cache", "key")
    assert isinstance(hit, CacheGet.Hit)
    assert hit.value_string == ""


async def test_a_value_is_gone_after_its_ttl(client: Any) -> None:
    await client.set("cache", "key", "value", ttl=timedelta(milliseconds=500))
    assert isinstance(await client.get("cache", "key"), CacheGet.Hit)
    await asyncio.sleep(0.55)
    assert isinstance(await client.get("cache", "key"), CacheGet.Miss)


async def test_set_starts_a_new_ttl(client: Any, rpcs: Rpcs) -> None:
    await client.set("cache", "key", "value", ttl=timedelta(seconds=1))
    await client.set("cache", "key", "value", ttl=timedelta(seconds=100))
    answer = await rpcs.ItemGetTtl(pb._ItemGetTtlRequest(cache_key=b"key"))
    assert 99_000 < answer.found.remaining_ttl_millis <= 100_000


async def test_set_if_not_exists_stores_once(client: Any) -> None:
    stored = await client.set_if_not_exists("cache", "key", "first")
    assert isinstance(stored, CacheSetIfNotExists.Stored)
    not_stored = await client.set_if_not_exists("cache", "key", "second")
    assert isinstance(not_stored, CacheSetIfNotExists.NotStored)
    assert (await client.get("cache", "key")).value_string == "first"


async def test_increment_counts_up_and_down_from_zero(client: Any) -> None:
    for amount, expected in ((5, 5), (-7, -2), (1, -1)):
        response = await client.increment("cache", "key", amount)
        assert isinstance(response, CacheIncrement.Success)
        assert response.value == expected
    assert (await client.get("cache", "key")).value_string == "-1"


@pytest.mark.parametrize("value", ["abc", "1.5", "1_0", " 1", "", b"\xff", str(2**63 - 1)])
async def test_only_a_64_bit_integer_can_be_incremented(client: Any, value: str | bytes) -> None:
    await client.set("cache", "key", value)
    response = await client.increment("cache", "key")
    assert isinstance(response, CacheIncrement.Error)
    assert response.error_code is MomentoErrorCode.FAILED_PRECONDITION_ERROR


async def test_an_unknown_cache_is_not_found(client: Any) -> None:
    response = await client.get("no-such-cache", "key")
    assert isinstance(response, CacheGet.Error)
    assert response.error_code is MomentoErrorCode.NOT_FOUND_ERROR


async def test_a_scalar_cannot_be_used_as_a_list_or_a_list_as_a_scalar(client: Any) -> None:
    await client.set("cache", "scalar", "value")
    await client.list_push_back("cache", "list", "value")
    as_list = await client.list_fetch("cache", "scalar")
    assert isinstance(as_list, CacheListFetch.Error)
    assert as_list.error_code is MomentoErrorCode.FAILED_PRECONDITION_ERROR
    as_scalar = await client.get("cache", "list")
    assert isinstance(as_scalar, CacheGet.Error)
    assert as_scalar.error_code is MomentoErrorCode.FAILED_PRECONDITION_ERROR
    # Set, as opposed to the others, does not mind what was there.
    assert isinstance(await client.set("cache", "list", "value"), CacheSet.Success)


async def test_batches_answer_item_by_item_in_order(rpcs: Rpcs) -> None:
    items = [pb._SetRequest(cache_key=key, cache_body=key, ttl_milliseconds=1000) for key in (b"a", b"b")]
    answers = [answer.result async for answer in rpcs.SetBatch(pb._SetBatchRequest(items=items))]
    assert answers == [pb.Ok, pb.Ok]
    keys = [pb._GetRequest(cache_key=key) for key in (b"b", b"no", b"a")]
    answers = [(a.result, a.cache_body) async for a in rpcs.GetBatch(pb._GetBatchRequest(items=keys))]
    assert answers == [(pb.Hit, b"b"), (pb.Miss, b""), (pb.Hit, b"a")]


@pytest.mark.parametrize(
    ("condition", "absent", "equal", "different"),
    [
        ({"present": {}}, False, True, True),
        ({"absent": {}}, True, False, False),
        ({"equal": {"value_to_check": b"x"}}, False, True, False),
        ({"not_equal": {"value_to_check": b"x"}}, True, False, True),
        ({"present_and_not_equal": {"value_to_check": b"x"}}, False, False, True),
        ({"absent_or_equal": {"value_to_check": b"x"}}, True, True, False),
    ],
)
async def test_set_if_stores_when_its_condition_holds(
    rpcs: Rpcs, condition: dict[str, dict[str, bytes]], absent: bool, equal: bool, different: bool
) -> None:
    for key, present, stored in ((b"0", None, absent), (b"1", b"x", equal), (b"2", b"y", different)):
        if present is not None:
            await rpcs.Set(pb._SetRequest(cache_key=key, cache_body=present, ttl_milliseconds=1000))
        request = pb._SetIfRequest(cache_key=key, cache_body=b"new", ttl_milliseconds=1000, **condition)
        answer = await rpcs.SetIf(request)
        assert answer.WhichOneof("result") == ("stored" if stored else "not_stored")
        now = await rpcs.Get(pb._GetRequest(cache_key=key))
        assert now.cache_body == (b"new" if stored else present or b"")


async def test_set_if_hash_compares_the_hash_that_get_returns(rpcs: Rpcs) -> None:
    def set_if(body: bytes, **condition: dict[str, bytes]) -> Any:
        return rpcs.SetIfHash(
            pb._SetIfHashRequest(cache_key=b"k", cache_body=body, ttl_milliseconds=1000, **condition)
        )

    async def outcome(body: bytes, **condition: dict[str, bytes]) -> str:
        result: str = (await set_if(body, **condition)).WhichOneof("result")
        return result

    missing = await rpcs.GetWithHash(pb._GetWithHashRequest(cache_key=b"k"))
    assert missing.WhichOneof("result") == "missing"
    first = (await set_if(b"1", unconditional={})).stored.new_hash
    found = (await rpcs.GetWithHash(pb._GetWithHashRequest(cache_key=b"k"))).found
    assert (found.value, found.hash) == (b"1", first)
    assert await outcome(b"2", present_and_hash_equal={"hash_to_check": b"other"}) == "not_stored"
    second = (await set_if(b"2", present_and_hash_equal={"hash_to_check": first})).stored.new_hash
    assert second != first
    assert await outcome(b"3", present_and_not_hash_equal={"hash_to_check": second}) == "not_stored"
    assert await outcome(b"3", absent_or_hash_equal={"hash_to_check": first}) == "not_stored"
    assert await outcome(b"3", absent_or_not_hash_equal={"hash_to_check": first}) == "stored"
    await rpcs.Delete(pb._DeleteRequest(cache_key=b"k"))
    assert await outcome(b"4", present_and_not_hash_equal={"hash_to_check": b"other"}) == "not_stored"
    assert await outcome(b"4", absent_or_hash_equal={"hash_to_check": b"other"}) == "stored"


async def test_keys_exist_answers_in_the_order_of_the_keys(rpcs: Rpcs) -> None:
    await rpcs.Set(pb._SetRequest(cache_key=b"a", cache_body=b"1", ttl_milliseconds=1000))
    answer = await rpcs.KeysExist(pb._KeysExistRequest(cache_keys=[b"no", b"a"]))
    assert list(answer.exists) == [False, True]


@pytest.mark.parametrize(
    ("change", "milliseconds", "result"),
    [
        ("increase_to_milliseconds", 90_000, "set"),
        ("increase_to_milliseconds", 10_000, "not_set"),
        ("decrease_to_milliseconds", 10_000, "set"),
        ("decrease_to_milliseconds", 90_000, "not_set"),
        ("overwrite_to_milliseconds", 10_000, "set"),
        ("overwrite_to_milliseconds", 90_000, "set"),
    ],
)
async def test_update_ttl_changes_a_ttl_only_in_the_given_direction(
    rpcs: Rpcs, change: str, milliseconds: int, result: str
) -> None:
    await rpcs.Set(pb._SetRequest(cache_key=b"k", cache_body=b"1", ttl_milliseconds=50_000))
    answer = await rpcs.UpdateTtl(pb._UpdateTtlRequest(cache_key=b"k", **{change: milliseconds}))
    assert answer.WhichOneof("result") == result
    left = (await rpcs.ItemGetTtl(pb._ItemGetTtlRequest(cache_key=b"k"))).found.remaining_ttl_millis
    expected = milliseconds if result == "set" else 50_000
    assert expected - 1000 < left <= expected


async def test_a_missing_item_has_no_ttl_and_no_type(rpcs: Rpcs) -> None:
    ttl = await rpcs.ItemGetTtl(pb._ItemGetTtlRequest(cache_key=b"no"))
    assert ttl.WhichOneof("result") == "missing"
    update = await rpcs.UpdateTtl(pb._UpdateTtlRequest(cache_key=b"no", overwrite_to_milliseconds=1))
    assert update.WhichOneof("result") == "missing"
    item_type = await rpcs.ItemGetType(pb._ItemGetTypeRequest(cache_key=b"no"))
    assert item_type.WhichOneof("result") == "missing"


async def test_every_item_knows_its_type(client: Any, rpcs: Rpcs) -> None:
    await client.set("cache", "scalar", "v")
    await client.dictionary_set_field("cache", "dictionary", "f", "v")
    await client.set_add_element("cache", "set", "v")
    await client.list_push_back("cache", "list", "v")
    await client.sorted_set_put_element("cache", "sorted_set", "v", 1.0)
    for name in ("scalar", "dictionary", "set", "list", "sorted_set"):
        answer = await rpcs.ItemGetType(pb._ItemGetTypeRequest(cache_key=name.encode()))
        item_type = pb._ItemGetTypeResponse.ItemType.Name(answer.found.item_type)
        assert item_type.lower() == name


@pytest.mark.parametrize(
    "request_",
    [
        pb._SetRequest(cache_key=b"", cache_body=b"1", ttl_milliseconds=1000),
        pb._SetRequest(cache_key=b"k", cache_body=b"1", ttl_milliseconds=0),
        pb._SetRequest(cache_key=b"k", cache_body=b"1", ttl_milliseconds=2**64 - 1),
    ],
    ids=["empty key", "no TTL", "absurd TTL"],
)
async def test_a_request_that_the_sdk_would_not_send_is_an_invalid_argument(
    rpcs: Rpcs, request_: pb._SetRequest
) -> None:
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await rpcs.Set(request_)
    assert refused.value.code() is grpc.StatusCode.INVALID_ARGUMENT


async def test_the_longest_ttls_can_be_set_and_read(rpcs: Rpcs) -> None:
    longest = 2**63 - 1
    await rpcs.Set(pb._SetRequest(cache_key=b"k", cache_body=b"1", ttl_milliseconds=longest))
    request = pb._UpdateTtlRequest(cache_key=b"k", overwrite_to_milliseconds=longest)
    assert (await rpcs.UpdateTtl(request)).WhichOneof("result") == "set"
    found = (await rpcs.ItemGetTtl(pb._ItemGetTtlRequest(cache_key=b"k"))).found
    assert found.remaining_ttl_millis == pytest.approx(longest)
    request = pb._UpdateTtlRequest(cache_key=b"k", overwrite_to_milliseconds=2**64 - 1)
    assert await rpcs.UpdateTtl(request).code() is grpc.StatusCode.INVALID_ARGUMENT


async def test_an_item_that_expires_while_it_is_changed_stays_gone() -> None:
    cache = Cache()
    cache.store(b"k", List([b"rest"]), ttl_milliseconds=None)
    assert cache.get(b"k") is None


async def test_a_call_without_a_cache_is_an_invalid_argument(rpcs: Rpcs) -> None:
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await rpcs.sending(cache="").Get(pb._GetRequest(cache_key=b"k"))
    assert refused.value.code() is grpc.StatusCode.INVALID_ARGUMENT
