"""Lists."""

from typing import Any

import pytest
from momento.responses import (
    CacheListConcatenateBack,
    CacheListConcatenateFront,
    CacheListFetch,
    CacheListLength,
    CacheListPopBack,
    CacheListPopFront,
    CacheListPushBack,
    CacheListPushFront,
    CacheListRemoveValue,
)
from momento_wire_types import cacheclient_pb2 as pb

from tests.support.momento_connections import Rpcs

LETTERS = list("abcdef")


async def elements(client: Any) -> list[str]:
    fetched = await client.list_fetch("cache", "l")
    return [] if isinstance(fetched, CacheListFetch.Miss) else fetched.value_list_string


async def test_a_pushed_value_is_at_its_end_of_the_list(client: Any) -> None:
    assert isinstance(await client.list_fetch("cache", "l"), CacheListFetch.Miss)
    for value, length in (("b", 1), ("a", 2)):
        pushed = await client.list_push_front("cache", "l", value)
        assert isinstance(pushed, CacheListPushFront.Success)
        assert pushed.list_length == length
    pushed = await client.list_push_back("cache", "l", "c")
    assert isinstance(pushed, CacheListPushBack.Success)
    assert pushed.list_length == 3
    assert await elements(client) == ["a", "b", "c"]


async def test_a_push_to_one_end_truncates_the_other(client: Any) -> None:
    await client.list_concatenate_back("cache", "l", LETTERS)
    pushed = await client.list_push_front("cache", "l", "new", truncate_back_to_size=3)
    assert pushed.list_length == 3
    assert await elements(client) == ["new", "a", "b"]
    pushed = await client.list_push_back("cache", "l", "last", truncate_front_to_size=2)
    assert pushed.list_length == 2
    assert await elements(client) == ["b", "last"]
    # A list that is short enough stays whole.
    await client.list_push_back("cache", "l", "x", truncate_front_to_size=10)
    assert await elements(client) == ["b", "last", "x"]


async def test_concatenated_values_keep_their_order(client: Any) -> None:
    front = await client.list_concatenate_front("cache", "l", ["c", "d"])
    assert isinstance(front, CacheListConcatenateFront.Success)
    await client.list_concatenate_front("cache", "l", ["a", "b"])
    back = await client.list_concatenate_back("cache", "l", ["e", "f"])
    assert isinstance(back, CacheListConcatenateBack.Success)
    assert back.list_length == 6
    assert await elements(client) == LETTERS
    await client.list_concatenate_front("cache", "l", ["x", "y"], truncate_back_to_size=4)
    assert await elements(client) == ["x", "y", "a", "b"]
    await client.list_concatenate_back("cache", "l", ["u", "v"], truncate_front_to_size=3)
    assert await elements(client) == ["b", "u", "v"]


async def test_values_can_be_popped_from_both_ends_until_none_is_left(client: Any) -> None:
    await client.list_concatenate_back("cache", "l", ["a", "b", "c"])
    front = await client.list_pop_front("cache", "l")
    assert isinstance(front, CacheListPopFront.Hit)
    assert front.value_string == "a"
    back = await client.list_pop_back("cache", "l")
    assert isinstance(back, CacheListPopBack.Hit)
    assert back.value_string == "c"
    await client.list_pop_back("cache", "l")
    assert isinstance(await client.list_pop_front("cache", "l"), CacheListPopFront.Miss)
    assert isinstance(await client.list_pop_back("cache", "l"), CacheListPopBack.Miss)
    assert isinstance(await client.list_length("cache", "l"), CacheListLength.Miss)


async def test_removing_a_value_removes_it_everywhere(client: Any) -> None:
    await client.list_concatenate_back("cache", "l", ["a", "b", "a", "c", "a"])
    assert isinstance(await client.list_remove_value("cache", "l", "a"), CacheListRemoveValue.Success)
    assert await elements(client) == ["b", "c"]
    assert (await client.list_length("cache", "l")).length == 2
    assert isinstance(await client.list_remove_value("cache", "no", "a"), CacheListRemoveValue.Success)


@pytest.mark.parametrize(
    ("start", "end", "expected"),
    [
        (None, None, "abcdef"),
        (0, None, "abcdef"),
        (2, 4, "cd"),
        (-2, None, "ef"),
        (None, -2, "abcd"),
        (-4, -1, "cde"),
        (4, 100, "ef"),
        (-100, 2, "ab"),
        (4, 2, ""),
        (10, None, ""),
        (0, 0, ""),
    ],
)
async def test_slices_count_from_either_end(
    rpcs: Rpcs, start: int | None, end: int | None, expected: str
) -> None:
    first: dict[str, Any] = {"unbounded_start": {}} if start is None else {"inclusive_start": start}
    last: dict[str, Any] = {"unbounded_end": {}} if end is None else {"exclusive_end": end}
    bounds = first | last
    values = [letter.encode() for letter in LETTERS]
    await rpcs.ListConcatenateBack(
        pb._ListConcatenateBackRequest(list_name=b"l", values=values, ttl_milliseconds=1000)
    )
    fetched = await rpcs.ListFetch(pb._ListFetchRequest(list_name=b"l", **bounds))
    assert b"".join(fetched.found.values).decode() == expected
    assert fetched.WhichOneof("list") == "found"
    retained = await rpcs.ListRetain(pb._ListRetainRequest(list_name=b"l", ttl_milliseconds=1, **bounds))
    assert retained.found.list_length == len(expected)
    left = await rpcs.ListFetch(pb._ListFetchRequest(list_name=b"l"))
    assert b"".join(left.found.values).decode() == expected
    assert left.WhichOneof("list") == ("found" if expected else "missing")


async def test_ranges_are_erased_by_their_indices_before_the_call(client: Any, rpcs: Rpcs) -> None:
    erase = pb._ListEraseRequest(
        list_name=b"l",
        some={"ranges": [{"begin_index": 0, "count": 2}, {"begin_index": 4, "count": 9}]},
    )
    assert (await rpcs.ListErase(erase)).WhichOneof("list") == "missing"
    await client.list_concatenate_back("cache", "l", LETTERS)
    assert (await rpcs.ListErase(erase)).found.list_length == 2
    assert await elements(client) == ["c", "d"]
    assert (await rpcs.ListErase(pb._ListEraseRequest(list_name=b"l", all={}))).found.list_length == 0
    assert isinstance(await client.list_fetch("cache", "l"), CacheListFetch.Miss)


async def test_what_is_not_there_is_missing(rpcs: Rpcs) -> None:
    for answer in (
        rpcs.ListRetain(pb._ListRetainRequest(list_name=b"no", ttl_milliseconds=1)),
        rpcs.ListRemove(pb._ListRemoveRequest(list_name=b"no", all_elements_with_value=b"a")),
    ):
        assert (await answer).WhichOneof("list") == "missing"
