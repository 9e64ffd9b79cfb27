"""Sets."""

from typing import Any

from momento.responses import CacheSetAddElements, CacheSetFetch, CacheSetRemoveElements
from momento_wire_types import cacheclient_pb2 as pb

from tests.support.momento_connections import Rpcs


async def test_elements_are_added_once_and_removed(client: Any) -> None:
    assert isinstance(await client.set_fetch("cache", "s"), CacheSetFetch.Miss)
    added = await client.set_add_elements("cache", "s", {"a", "b"})
    assert isinstance(added, CacheSetAddElements.Success)
    await client.set_add_element("cache", "s", "a")
    assert (await client.set_fetch("cache", "s")).value_set_string == {"a", "b"}
    removed = await client.set_remove_elements("cache", "s", {"a", "no"})
    assert isinstance(removed, CacheSetRemoveElements.Success)
    assert (await client.set_fetch("cache", "s")).value_set_string == {"b"}
    await client.set_remove_element("cache", "s", "b")
    assert isinstance(await client.set_fetch("cache", "s"), CacheSetFetch.Miss)
    removed = await client.set_remove_element("cache", "s", "b")
    assert not hasattr(removed, "error_code")


async def test_a_set_knows_its_elements_and_its_length(client: Any, rpcs: Rpcs) -> None:
    request = pb._SetContainsRequest(set_name=b"s", elements=[b"b", b"no", b"a"])
    assert (await rpcs.SetContains(request)).WhichOneof("set") == "missing"
    length = await rpcs.SetLength(pb._SetLengthRequest(set_name=b"s"))
    assert length.WhichOneof("set") == "missing"
    await client.set_add_elements("cache", "s", {"a", "b"})
    assert list((await rpcs.SetContains(request)).found.contains) == [True, False, True]
    assert (await rpcs.SetLength(pb._SetLengthRequest(set_name=b"s"))).found.length == 2


async def test_sampled_elements_stay_in_the_set_and_popped_ones_do_not(client: Any, rpcs: Rpcs) -> None:
    everything = {b"a", b"b", b"c", b"d"}
    await client.set_add_elements("cache", "s", everything)
    sample = (await rpcs.SetSample(pb._SetSampleRequest(set_name=b"s", limit=3))).found.elements
    assert len(set(sample)) == 3
    assert set(sample) < everything
    popped = set((await rpcs.SetPop(pb._SetPopRequest(set_name=b"s", count=3))).found.elements)
    assert len(popped) == 3
    assert (await client.set_fetch("cache", "s")).value_set_bytes == everything - popped
    popped |= set((await rpcs.SetPop(pb._SetPopRequest(set_name=b"s", count=3))).found.elements)
    assert popped == everything
    assert (await rpcs.SetPop(pb._SetPopRequest(set_name=b"s", count=1))).WhichOneof("set") == "missing"
    answer = await rpcs.SetSample(pb._SetSampleRequest(set_name=b"s", limit=1))
    assert answer.WhichOneof("set") == "missing"


async def test_subtraction_works_both_ways(client: Any, rpcs: Rpcs) -> None:
    request = pb._SetDifferenceRequest(set_name=b"s", minuend={"elements": [b"a", b"x", b"y"]})
    assert (await rpcs.SetDifference(request)).WhichOneof("set") == "missing"
    await client.set_add_elements("cache", "s", {"a", "b"})
    assert (await rpcs.SetDifference(request)).WhichOneof("set") == "found"
    assert (await client.set_fetch("cache", "s")).value_set_string == {"x", "y"}
    await rpcs.SetDifference(pb._SetDifferenceRequest(set_name=b"s", subtrahend={"identity": {}}))
    assert isinstance(await client.set_fetch("cache", "s"), CacheSetFetch.Miss)
