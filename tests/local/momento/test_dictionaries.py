"""Dictionaries."""

from typing import Any

from momento.errors import MomentoErrorCode
from momento.responses import (
    CacheDictionaryFetch,
    CacheDictionaryGetField,
    CacheDictionaryGetFields,
    CacheDictionaryIncrement,
    CacheDictionaryRemoveFields,
    CacheDictionarySetFields,
)
from momento_wire_types import cacheclient_pb2 as pb

from tests.support.momento_connections import Rpcs


async def test_fields_can_be_set_got_and_fetched(client: Any) -> None:
    assert isinstance(await client.dictionary_fetch("cache", "d"), CacheDictionaryFetch.Miss)
    stored = await client.dictionary_set_fields("cache", "d", {"a": "1", "b": "2"})
    assert isinstance(stored, CacheDictionarySetFields.Success)
    await client.dictionary_set_field("cache", "d", "b", "3")
    fetched = await client.dictionary_fetch("cache", "d")
    assert isinstance(fetched, CacheDictionaryFetch.Hit)
    assert fetched.value_dictionary_string_string == {"a": "1", "b": "3"}


async def test_fields_are_answered_in_the_order_of_the_request(client: Any) -> None:
    missing = await client.dictionary_get_fields("cache", "d", ["a"])
    assert isinstance(missing, CacheDictionaryGetFields.Miss)
    await client.dictionary_set_fields("cache", "d", {"a": "1", "b": "2"})
    hit = await client.dictionary_get_fields("cache", "d", ["b", "no", "a"])
    assert isinstance(hit, CacheDictionaryGetFields.Hit)
    assert [type(field) for field in hit.responses] == [
        CacheDictionaryGetField.Hit,
        CacheDictionaryGetField.Miss,
        CacheDictionaryGetField.Hit,
    ]
    assert hit.value_dictionary_string_string == {"a": "1", "b": "2"}
    assert isinstance(await client.dictionary_get_field("cache", "d", "no"), CacheDictionaryGetField.Miss)


async def test_a_missing_field_is_incremented_from_zero(client: Any) -> None:
    for expected in (3, 6):
        response = await client.dictionary_increment("cache", "d", "count", 3)
        assert isinstance(response, CacheDictionaryIncrement.Success)
        assert response.value == expected
    assert (await client.dictionary_get_field("cache", "d", "count")).value_string == "6"
    await client.dictionary_set_field("cache", "d", "text", "abc")
    refused = await client.dictionary_increment("cache", "d", "text")
    assert isinstance(refused, CacheDictionaryIncrement.Error)
    assert refused.error_code is MomentoErrorCode.FAILED_PRECONDITION_ERROR


async def test_a_dictionary_is_deleted_with_its_last_field(client: Any) -> None:
    await client.dictionary_set_fields("cache", "d", {"a": "1", "b": "2", "c": "3"})
    await client.dictionary_remove_field("cache", "d", "a")
    fetched = await client.dictionary_fetch("cache", "d")
    assert fetched.value_dictionary_string_string == {"b": "2", "c": "3"}
    removed = await client.dictionary_remove_fields("cache", "d", ["b", "c", "no"])
    assert isinstance(removed, CacheDictionaryRemoveFields.Success)
    assert isinstance(await client.dictionary_fetch("cache", "d"), CacheDictionaryFetch.Miss)
    removed = await client.dictionary_remove_fields("cache", "d", ["a"])
    assert isinstance(removed, CacheDictionaryRemoveFields.Success)


async def test_a_dictionary_has_a_length_and_can_be_deleted(client: Any, rpcs: Rpcs) -> None:
    length = await rpcs.DictionaryLength(pb._DictionaryLengthRequest(dictionary_name=b"d"))
    assert length.WhichOneof("dictionary") == "missing"
    await client.dictionary_set_fields("cache", "d", {"a": "1", "b": "2"})
    length = await rpcs.DictionaryLength(pb._DictionaryLengthRequest(dictionary_name=b"d"))
    assert length.found.length == 2
    await rpcs.DictionaryDelete(pb._DictionaryDeleteRequest(dictionary_name=b"d", all={}))
    assert isinstance(await client.dictionary_fetch("cache", "d"), CacheDictionaryFetch.Miss)
