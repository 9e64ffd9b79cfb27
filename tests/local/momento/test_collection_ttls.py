"""The time to live of collections: refreshed on a change, or left as it was."""

from datetime import timedelta

import pytest
from momento.requests import CollectionTtl
from momento_wire_types import cacheclient_pb2 as pb

from local.momento.server import Timings
from tests.support.momento_connections import Connect, Connections, Eventually, Rpcs, StartMomento

CHANGES = {
    "dictionary_set_field": ("field", "value"),
    "dictionary_set_fields": ({"field": "value"},),
    "dictionary_increment": ("count", 1),
    "set_add_element": ("element",),
    "set_add_elements": ({"element"},),
    "list_push_front": ("value",),
    "list_push_back": ("value",),
    "list_concatenate_front": (["value"],),
    "list_concatenate_back": (["value"],),
    "sorted_set_put_element": ("value", 1.0),
    "sorted_set_put_elements": ({"value": 1.0},),
    "sorted_set_increment_score": ("value", 1.0),
}


async def remaining_seconds(rpcs: Rpcs) -> float:
    answer = await rpcs.ItemGetTtl(pb._ItemGetTtlRequest(cache_key=b"collection"))
    milliseconds: int = answer.found.remaining_ttl_millis
    return milliseconds / 1000


@pytest.mark.parametrize("change", CHANGES)
async def test_a_change_refreshes_the_ttl_only_if_asked(
    connections: Connections, rpcs: Rpcs, change: str
) -> None:
    client = await connections.cache()

    async def apply(ttl: CollectionTtl) -> None:
        response = await getattr(client, change)("cache", "collection", *CHANGES[change], ttl=ttl)
        assert not hasattr(response, "error_code"), response

    await apply(CollectionTtl.of(timedelta(seconds=100)).with_no_refresh_ttl_on_updates())
    assert 99 < await remaining_seconds(rpcs) <= 100
    await apply(CollectionTtl.of(timedelta(seconds=500)).with_no_refresh_ttl_on_updates())
    assert 99 < await remaining_seconds(rpcs) <= 100
    await apply(CollectionTtl.of(timedelta(seconds=500)))
    assert 499 < await remaining_seconds(rpcs) <= 500


async def test_removing_something_keeps_the_ttl(connections: Connections, rpcs: Rpcs) -> None:
    client = await connections.cache()
    await client.list_concatenate_back(
        "cache", "collection", ["a", "b", "c"], ttl=CollectionTtl.of(timedelta(seconds=500))
    )
    await client.list_pop_front("cache", "collection")
    await client.list_remove_value("cache", "collection", "b")
    assert 499 < await remaining_seconds(rpcs) <= 500


async def test_expired_items_are_freed_without_a_request(
    start_momento: StartMomento, connect: Connect, eventually: Eventually
) -> None:
    momento = await start_momento(timings=Timings(sweep=0.05))
    client = await connect(momento).cache()
    await client.set("cache", "kept", "value")
    for number in range(5):
        await client.set("cache", str(number), "value", ttl=timedelta(seconds=2))
    held = momento._caches["cache"]._items
    assert len(held) == 6
    await eventually(lambda: len(held) == 1)
    assert b"kept" in held
