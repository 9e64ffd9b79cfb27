"""Sorted sets."""

import math
from typing import Any

import grpc
import pytest
from momento.requests import SortOrder
from momento.responses import (
    CacheSortedSetFetch,
    CacheSortedSetGetRank,
    CacheSortedSetGetScore,
    CacheSortedSetGetScores,
    CacheSortedSetIncrementScore,
    CacheSortedSetPutElements,
    CacheSortedSetRemoveElements,
)
from momento_wire_types import cacheclient_pb2 as pb

from tests.support.momento_connections import Rpcs

SCORES = {"a": 1.0, "b": 2.0, "c": 2.0, "d": 4.0, "e": 5.5}


@pytest.fixture
async def sorted_set(client: Any) -> Any:
    assert isinstance(
        await client.sorted_set_put_elements("cache", "z", SCORES), CacheSortedSetPutElements.Success
    )
    return client


def letters(response: object) -> str:
    assert isinstance(response, CacheSortedSetFetch.Hit), response
    return "".join(value for value, _ in response.value_list_string)


@pytest.mark.parametrize(
    ("start", "end", "order", "expected"),
    [
        (None, None, SortOrder.ASCENDING, "abcde"),
        (None, None, SortOrder.DESCENDING, "edcba"),
        (1, 3, SortOrder.ASCENDING, "bc"),
        (1, 3, SortOrder.DESCENDING, "dc"),
        (-2, None, SortOrder.ASCENDING, "de"),
        (None, -3, SortOrder.ASCENDING, "ab"),
        (3, 100, SortOrder.ASCENDING, "de"),
        (10, None, SortOrder.ASCENDING, ""),
    ],
)
async def test_elements_can_be_fetched_by_rank(
    sorted_set: Any, start: int | None, end: int | None, order: SortOrder, expected: str
) -> None:
    response = await sorted_set.sorted_set_fetch_by_rank("cache", "z", start, end, order)
    assert letters(response) == expected


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ((None, None, SortOrder.ASCENDING, None, None), "abcde"),
        ((2.0, 4.0, SortOrder.ASCENDING, None, None), "bcd"),
        ((2.0, None, SortOrder.DESCENDING, None, None), "edcb"),
        ((None, 4.0, SortOrder.ASCENDING, 1, 2), "bc"),
        ((None, None, SortOrder.DESCENDING, 3, None), "ba"),
        ((None, None, SortOrder.ASCENDING, 1, 0), ""),
        ((6.0, None, SortOrder.ASCENDING, None, None), ""),
    ],
)
async def test_elements_can_be_fetched_by_score(
    sorted_set: Any,
    arguments: tuple[float | None, float | None, SortOrder, int | None, int | None],
    expected: str,
) -> None:
    """Minimum, maximum, order, offset and count."""
    response = await sorted_set.sorted_set_fetch_by_score("cache", "z", *arguments)
    assert letters(response) == expected


@pytest.mark.usefixtures("sorted_set")
async def test_elements_can_be_fetched_by_exclusive_scores_and_without_scores(rpcs: Rpcs) -> None:
    by_score = {"min_score": {"score": 1, "exclusive": True}, "max_score": {"score": 4, "exclusive": True}}
    request = pb._SortedSetFetchRequest(set_name=b"z", by_score={**by_score, "count": -1})
    answer = await rpcs.SortedSetFetch(request)
    assert list(answer.found.values.values) == [b"b", b"c"]


async def test_scores_come_with_the_elements(sorted_set: Any) -> None:
    response = await sorted_set.sorted_set_fetch_by_rank("cache", "z")
    assert dict(response.value_list_string) == SCORES


async def test_putting_an_element_again_replaces_its_score(sorted_set: Any) -> None:
    await sorted_set.sorted_set_put_element("cache", "z", "a", 10.0)
    assert letters(await sorted_set.sorted_set_fetch_by_rank("cache", "z")) == "bcdea"


async def test_scores_are_answered_one_by_one(sorted_set: Any) -> None:
    response = await sorted_set.sorted_set_get_scores("cache", "z", ["e", "no", "a"])
    assert isinstance(response, CacheSortedSetGetScores.Hit)
    assert [getattr(part, "score", None) for part in response.responses] == [5.5, None, 1.0]
    miss = await sorted_set.sorted_set_get_score("cache", "z", "no")
    assert isinstance(miss, CacheSortedSetGetScore.Miss)
    miss = await sorted_set.sorted_set_get_scores("cache", "no", ["a"])
    assert isinstance(miss, CacheSortedSetGetScores.Miss)


@pytest.mark.parametrize(("order", "ranks"), [(SortOrder.ASCENDING, (1, 2)), (SortOrder.DESCENDING, (3, 2))])
async def test_ranks_follow_the_order_of_the_fetch(
    sorted_set: Any, order: SortOrder, ranks: tuple[int, int]
) -> None:
    for value, rank in zip("bc", ranks, strict=True):
        response = await sorted_set.sorted_set_get_rank("cache", "z", value, order)
        assert isinstance(response, CacheSortedSetGetRank.Hit)
        assert response.rank == rank


async def test_a_missing_element_has_no_rank(sorted_set: Any) -> None:
    for name, value in (("z", "no"), ("no", "a")):
        response = await sorted_set.sorted_set_get_rank("cache", name, value)
        assert isinstance(response, CacheSortedSetGetRank.Miss)


async def test_a_missing_score_is_incremented_from_zero(client: Any) -> None:
    for amount, expected in ((2.5, 2.5), (-1.0, 1.5)):
        response = await client.sorted_set_increment_score("cache", "z", "a", amount)
        assert isinstance(response, CacheSortedSetIncrementScore.Success)
        assert response.score == expected


async def test_a_sorted_set_is_deleted_with_its_last_element(sorted_set: Any) -> None:
    removed = await sorted_set.sorted_set_remove_elements("cache", "z", {"a", "b", "c", "no"})
    assert isinstance(removed, CacheSortedSetRemoveElements.Success)
    assert letters(await sorted_set.sorted_set_fetch_by_rank("cache", "z")) == "de"
    await sorted_set.sorted_set_remove_elements("cache", "z", {"d", "e"})
    miss = await sorted_set.sorted_set_fetch_by_rank("cache", "z")
    assert isinstance(miss, CacheSortedSetFetch.Miss)
    removed = await sorted_set.sorted_set_remove_element("cache", "z", "a")
    assert not hasattr(removed, "error_code")


async def test_a_sorted_set_can_be_deleted(sorted_set: Any, rpcs: Rpcs) -> None:
    await rpcs.SortedSetRemove(pb._SortedSetRemoveRequest(set_name=b"z", all={}))
    miss = await sorted_set.sorted_set_fetch_by_rank("cache", "z")
    assert isinstance(miss, CacheSortedSetFetch.Miss)


@pytest.mark.parametrize(
    ("bounds", "length"),
    [
        ({}, 5),
        ({"inclusive_min": 2, "inclusive_max": 4}, 3),
        ({"exclusive_min": 2, "exclusive_max": 5.5}, 1),
        ({"unbounded_min": {}, "exclusive_max": 2}, 1),
        ({"exclusive_min": 5.5, "unbounded_max": {}}, 0),
    ],
)
@pytest.mark.usefixtures("sorted_set")
async def test_a_sorted_set_has_a_length_as_a_whole_and_by_score(
    rpcs: Rpcs, bounds: dict[str, Any], length: int
) -> None:
    answer = await rpcs.SortedSetLengthByScore(pb._SortedSetLengthByScoreRequest(set_name=b"z", **bounds))
    assert answer.found.length == length
    answer = await rpcs.SortedSetLength(pb._SortedSetLengthRequest(set_name=b"z"))
    assert answer.found.length == 5


async def test_a_missing_sorted_set_has_no_length(rpcs: Rpcs) -> None:
    for answer in (
        rpcs.SortedSetLength(pb._SortedSetLengthRequest(set_name=b"no")),
        rpcs.SortedSetLengthByScore(pb._SortedSetLengthByScoreRequest(set_name=b"no")),
    ):
        assert (await answer).WhichOneof("sorted_set") == "missing"


@pytest.mark.parametrize(
    ("aggregate", "expected"),
    [
        ("SUM", {"a": 2.0, "b": 14.0, "c": 40.0}),
        ("MIN", {"a": 2.0, "b": 4.0, "c": 40.0}),
        ("MAX", {"a": 2.0, "b": 10.0, "c": 40.0}),
    ],
)
async def test_a_union_applies_weights_and_an_aggregate(
    client: Any, rpcs: Rpcs, aggregate: str, expected: dict[str, float]
) -> None:
    await client.sorted_set_put_elements("cache", "x", {"a": 1.0, "b": 2.0})
    await client.sorted_set_put_elements("cache", "y", {"b": 1.0, "c": 4.0})
    await client.sorted_set_put_elements("cache", "z", {"old": 1.0})
    sources = [
        {"set_name": b"x", "weight": 2},
        {"set_name": b"y", "weight": 10},
        {"set_name": b"no", "weight": 1},
    ]
    answer = await rpcs.SortedSetUnionStore(
        pb._SortedSetUnionStoreRequest(
            set_name=b"z", sources=sources, aggregate=aggregate, ttl_milliseconds=1000
        )
    )
    assert answer.length == 3
    fetched = await client.sorted_set_fetch_by_rank("cache", "z")
    assert dict(fetched.value_list_string) == expected


async def test_a_sum_beyond_a_float_is_infinite(client: Any, rpcs: Rpcs) -> None:
    for name in ("x", "y"):
        await client.sorted_set_put_element("cache", name, "a", 1e308)
    sources = [{"set_name": name, "weight": 1} for name in (b"x", b"y")]
    request = pb._SortedSetUnionStoreRequest(set_name=b"z", sources=sources, ttl_milliseconds=1000)
    assert (await rpcs.SortedSetUnionStore(request)).length == 1
    fetched = await client.sorted_set_fetch_by_rank("cache", "z")
    assert fetched.value_list_string == [("a", math.inf)]


async def test_an_unknown_aggregate_is_an_invalid_argument(rpcs: Rpcs) -> None:
    unknown: Any = 7
    request = pb._SortedSetUnionStoreRequest(set_name=b"z", aggregate=unknown, ttl_milliseconds=1000)
    assert await rpcs.SortedSetUnionStore(request).code() is grpc.StatusCode.INVALID_ARGUMENT


async def test_an_empty_union_deletes_its_destination(client: Any, rpcs: Rpcs) -> None:
    await client.sorted_set_put_elements("cache", "z", {"old": 1.0})
    request = pb._SortedSetUnionStoreRequest(
        set_name=b"z", sources=[{"set_name": b"no", "weight": 1}], ttl_milliseconds=1000
    )
    assert (await rpcs.SortedSetUnionStore(request)).length == 0
    assert isinstance(await client.sorted_set_fetch_by_rank("cache", "z"), CacheSortedSetFetch.Miss)


async def test_a_score_must_be_a_number(rpcs: Rpcs) -> None:
    elements = [{"value": b"a", "score": math.nan}]
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await rpcs.SortedSetPut(
            pb._SortedSetPutRequest(set_name=b"z", elements=elements, ttl_milliseconds=1000)
        )
    assert refused.value.code() is grpc.StatusCode.INVALID_ARGUMENT
