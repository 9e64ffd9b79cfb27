"""`cache_client.Scs`: read and write the items of caches."""

import hashlib
import math
import random
import re
from collections.abc import AsyncGenerator, Callable, Iterable, Sequence
from typing import Any

from google.protobuf.message import Message
from momento_wire_types import cacheclient_pb2 as pb
from momento_wire_types import cacheclient_pb2_grpc

from local.momento.calls import Call
from local.momento.errors import failed_precondition, invalid_argument
from local.momento.limits import check_ttl
from local.momento.store import Cache, Caches, Dictionary, List, Set, SortedSet, Value

_INT64 = range(-(2**63), 2**63)
_ITEM_TYPES = {
    bytes: pb._ItemGetTypeResponse.SCALAR,
    Dictionary: pb._ItemGetTypeResponse.DICTIONARY,
    Set: pb._ItemGetTypeResponse.SET,
    List: pb._ItemGetTypeResponse.LIST,
    SortedSet: pb._ItemGetTypeResponse.SORTED_SET,
}
_AGGREGATES: dict[int, Callable[[Iterable[float]], float]] = {
    pb._SortedSetUnionStoreRequest.SUM: sum,
    pb._SortedSetUnionStoreRequest.MIN: min,
    pb._SortedSetUnionStoreRequest.MAX: max,
}


class CacheService(cacheclient_pb2_grpc.ScsServicer):
    """The data plane. It behaves as Momento's cacheclient.proto says and as its SDKs' tests expect."""

    def __init__(self, caches: Caches) -> None:
        self._caches = caches

    # Scalars

    async def Get(self, request: pb._GetRequest, call: Call) -> pb._GetResponse:
        return self._get(request, call)

    async def GetBatch(
        self, request: pb._GetBatchRequest, call: Call
    ) -> AsyncGenerator[pb._GetResponse, None]:
        for item in request.items:
            yield self._get(item, call)

    async def GetWithHash(self, request: pb._GetWithHashRequest, call: Call) -> pb._GetWithHashResponse:
        value = self._cache(call).find(request.cache_key, bytes)
        if value is None:
            return pb._GetWithHashResponse(missing={})
        return pb._GetWithHashResponse(found={"value": value, "hash": _hash(value)})

    async def Set(self, request: pb._SetRequest, call: Call) -> pb._SetResponse:
        return self._set(request, call)

    async def SetBatch(
        self, request: pb._SetBatchRequest, call: Call
    ) -> AsyncGenerator[pb._SetResponse, None]:
        for item in request.items:
            yield self._set(item, call)

    async def SetIf(self, request: pb._SetIfRequest, call: Call) -> pb._SetIfResponse:
        value = self._cache(call).find(request.cache_key, bytes)
        match _choice(request, "condition"):
            case "present":
                holds = value is not None
            case "present_and_not_equal":
                holds = value not in (None, request.present_and_not_equal.value_to_check)
            case "absent":
                holds = value is None
            case "equal":
                holds = value == request.equal.value_to_check
            case "absent_or_equal":
                holds = value in (None, request.absent_or_equal.value_to_check)
            case _:
                holds = value != request.not_equal.value_to_check
        if not holds:
            return pb._SetIfResponse(not_stored={})
        self._set(request, call)
        return pb._SetIfResponse(stored={})

    async def SetIfHash(self, request: pb._SetIfHashRequest, call: Call) -> pb._SetIfHashResponse:
        value = self._cache(call).find(request.cache_key, bytes)
        current = None if value is None else _hash(value)
        match _choice(request, "condition"):
            case "present_and_not_hash_equal":
                holds = current not in (None, request.present_and_not_hash_equal.hash_to_check)
            case "present_and_hash_equal":
                holds = current == request.present_and_hash_equal.hash_to_check
            case "absent_or_hash_equal":
                holds = current in (None, request.absent_or_hash_equal.hash_to_check)
            case "absent_or_not_hash_equal":
                holds = current != request.absent_or_not_hash_equal.hash_to_check
            case _:
                holds = True
        if not holds:
            return pb._SetIfHashResponse(not_stored={})
        self._set(request, call)
        return pb._SetIfHashResponse(stored={"new_hash": _hash(request.cache_body)})

    async def SetIfNotExists(
        self, request: pb._SetIfNotExistsRequest, call: Call
    ) -> pb._SetIfNotExistsResponse:
        if self._cache(call).get(request.cache_key) is not None:
            return pb._SetIfNotExistsResponse(not_stored={})
        self._set(request, call)
        return pb._SetIfNotExistsResponse(stored={})

    async def Increment(self, request: pb._IncrementRequest, call: Call) -> pb._IncrementResponse:
        cache = self._cache(call)
        value = _incremented(cache.find(request.cache_key, bytes), request.amount)
        cache.store(request.cache_key, b"%d" % value, request.ttl_milliseconds)
        return pb._IncrementResponse(value=value)

    # Items of any type

    async def Delete(self, request: pb._DeleteRequest, call: Call) -> pb._DeleteResponse:
        self._cache(call).delete(request.cache_key)
        return pb._DeleteResponse()

    async def KeysExist(self, request: pb._KeysExistRequest, call: Call) -> pb._KeysExistResponse:
        cache = self._cache(call)
        return pb._KeysExistResponse(exists=[cache.get(key) is not None for key in request.cache_keys])

    async def UpdateTtl(self, request: pb._UpdateTtlRequest, call: Call) -> pb._UpdateTtlResponse:
        cache = self._cache(call)
        change = _choice(request, "update_ttl")
        ttl = getattr(request, change)
        check_ttl(ttl)
        remaining = cache.remaining_milliseconds(request.cache_key)
        if remaining is None:
            return pb._UpdateTtlResponse(missing={})
        if (change == "increase_to_milliseconds" and ttl <= remaining) or (
            change == "decrease_to_milliseconds" and ttl >= remaining
        ):
            return pb._UpdateTtlResponse(not_set={})
        cache.set_ttl(request.cache_key, ttl)
        return pb._UpdateTtlResponse(set={})

    async def ItemGetTtl(self, request: pb._ItemGetTtlRequest, call: Call) -> pb._ItemGetTtlResponse:
        remaining = self._cache(call).remaining_milliseconds(request.cache_key)
        if remaining is None:
            return pb._ItemGetTtlResponse(missing={})
        return pb._ItemGetTtlResponse(found={"remaining_ttl_millis": remaining})

    async def ItemGetType(self, request: pb._ItemGetTypeRequest, call: Call) -> pb._ItemGetTypeResponse:
        value = self._cache(call).get(request.cache_key)
        if value is None:
            return pb._ItemGetTypeResponse(missing={})
        return pb._ItemGetTypeResponse(found={"item_type": _ITEM_TYPES[type(value)]})

    # Dictionaries

    async def DictionaryGet(self, request: pb._DictionaryGetRequest, call: Call) -> pb._DictionaryGetResponse:
        dictionary = self._cache(call).find(request.dictionary_name, Dictionary)
        if dictionary is None:
            return pb._DictionaryGetResponse(missing={})
        return pb._DictionaryGetResponse(
            found={
                "items": [
                    {"result": pb.Hit, "cache_body": dictionary[field]}
                    if field in dictionary
                    else {"result": pb.Miss}
                    for field in request.fields
                ]
            }
        )

    async def DictionaryFetch(
        self, request: pb._DictionaryFetchRequest, call: Call
    ) -> pb._DictionaryFetchResponse:
        dictionary = self._cache(call).find(request.dictionary_name, Dictionary)
        if dictionary is None:
            return pb._DictionaryFetchResponse(missing={})
        items = [{"field": field, "value": value} for field, value in dictionary.items()]
        return pb._DictionaryFetchResponse(found={"items": items})

    async def DictionarySet(self, request: pb._DictionarySetRequest, call: Call) -> pb._DictionarySetResponse:
        cache = self._cache(call)
        dictionary = Dictionary(cache.find(request.dictionary_name, Dictionary) or {})
        dictionary.update({item.field: item.value for item in request.items})
        _store_collection(cache, request.dictionary_name, dictionary, request)
        return pb._DictionarySetResponse()

    async def DictionaryIncrement(
        self, request: pb._DictionaryIncrementRequest, call: Call
    ) -> pb._DictionaryIncrementResponse:
        cache = self._cache(call)
        dictionary = Dictionary(cache.find(request.dictionary_name, Dictionary) or {})
        value = _incremented(dictionary.get(request.field), request.amount)
        dictionary[request.field] = b"%d" % value
        _store_collection(cache, request.dictionary_name, dictionary, request)
        return pb._DictionaryIncrementResponse(value=value)

    async def DictionaryDelete(
        self, request: pb._DictionaryDeleteRequest, call: Call
    ) -> pb._DictionaryDeleteResponse:
        cache = self._cache(call)
        removed = _choice(request, "delete")
        dictionary = cache.find(request.dictionary_name, Dictionary)
        if dictionary is not None:
            fields = dictionary.keys() if removed == "all" else set(request.some.fields)
            rest = {field: value for field, value in dictionary.items() if field not in fields}
            cache.store(request.dictionary_name, Dictionary(rest))
        return pb._DictionaryDeleteResponse()

    async def DictionaryLength(
        self, request: pb._DictionaryLengthRequest, call: Call
    ) -> pb._DictionaryLengthResponse:
        dictionary = self._cache(call).find(request.dictionary_name, Dictionary)
        if dictionary is None:
            return pb._DictionaryLengthResponse(missing={})
        return pb._DictionaryLengthResponse(found={"length": len(dictionary)})

    # Sets

    async def SetFetch(self, request: pb._SetFetchRequest, call: Call) -> pb._SetFetchResponse:
        elements = self._cache(call).find(request.set_name, Set)
        if elements is None:
            return pb._SetFetchResponse(missing={})
        return pb._SetFetchResponse(found={"elements": elements})

    async def SetSample(self, request: pb._SetSampleRequest, call: Call) -> pb._SetSampleResponse:
        elements = self._cache(call).find(request.set_name, Set)
        if elements is None:
            return pb._SetSampleResponse(missing={})
        return pb._SetSampleResponse(found={"elements": _sample(elements, request.limit)})

    async def SetUnion(self, request: pb._SetUnionRequest, call: Call) -> pb._SetUnionResponse:
        cache = self._cache(call)
        elements = Set(cache.find(request.set_name, Set) or ()) | set(request.elements)
        _store_collection(cache, request.set_name, Set(elements), request)
        return pb._SetUnionResponse()

    async def SetDifference(self, request: pb._SetDifferenceRequest, call: Call) -> pb._SetDifferenceResponse:
        cache = self._cache(call)
        operand = _choice(request, "difference")
        if operand == "subtrahend":
            operand = _choice(request.subtrahend, "subtrahend_set")
        elements = cache.find(request.set_name, Set)
        if elements is None:
            return pb._SetDifferenceResponse(missing={})
        match operand:
            case "minuend":
                rest = set(request.minuend.elements) - elements
            case "identity":
                rest = set()
            case _:
                rest = elements - set(request.subtrahend.set.elements)
        cache.store(request.set_name, Set(rest))
        return pb._SetDifferenceResponse(found={})

    async def SetContains(self, request: pb._SetContainsRequest, call: Call) -> pb._SetContainsResponse:
        elements = self._cache(call).find(request.set_name, Set)
        if elements is None:
            return pb._SetContainsResponse(missing={})
        return pb._SetContainsResponse(
            found={"contains": [element in elements for element in request.elements]}
        )

    async def SetLength(self, request: pb._SetLengthRequest, call: Call) -> pb._SetLengthResponse:
        elements = self._cache(call).find(request.set_name, Set)
        if elements is None:
            return pb._SetLengthResponse(missing={})
        return pb._SetLengthResponse(found={"length": len(elements)})

    async def SetPop(self, request: pb._SetPopRequest, call: Call) -> pb._SetPopResponse:
        cache = self._cache(call)
        elements = cache.find(request.set_name, Set)
        if elements is None:
            return pb._SetPopResponse(missing={})
        popped = _sample(elements, request.count)
        cache.store(request.set_name, Set(elements.difference(popped)))
        return pb._SetPopResponse(found={"elements": popped})

    # Lists

    async def ListPushFront(self, request: pb._ListPushFrontRequest, call: Call) -> pb._ListPushFrontResponse:
        return pb._ListPushFrontResponse(list_length=self._add_front(request, [request.value], call))

    async def ListPushBack(self, request: pb._ListPushBackRequest, call: Call) -> pb._ListPushBackResponse:
        return pb._ListPushBackResponse(list_length=self._add_back(request, [request.value], call))

    async def ListConcatenateFront(
        self, request: pb._ListConcatenateFrontRequest, call: Call
    ) -> pb._ListConcatenateFrontResponse:
        length = self._add_front(request, request.values, call)
        return pb._ListConcatenateFrontResponse(list_length=length)

    async def ListConcatenateBack(
        self, request: pb._ListConcatenateBackRequest, call: Call
    ) -> pb._ListConcatenateBackResponse:
        length = self._add_back(request, request.values, call)
        return pb._ListConcatenateBackResponse(list_length=length)

    async def ListPopFront(self, request: pb._ListPopFrontRequest, call: Call) -> pb._ListPopFrontResponse:
        cache = self._cache(call)
        values = cache.find(request.list_name, List)
        if values is None:
            return pb._ListPopFrontResponse(missing={})
        cache.store(request.list_name, List(values[1:]))
        return pb._ListPopFrontResponse(found={"front": values[0], "list_length": len(values) - 1})

    async def ListPopBack(self, request: pb._ListPopBackRequest, call: Call) -> pb._ListPopBackResponse:
        cache = self._cache(call)
        values = cache.find(request.list_name, List)
        if values is None:
            return pb._ListPopBackResponse(missing={})
        cache.store(request.list_name, List(values[:-1]))
        return pb._ListPopBackResponse(found={"back": values[-1], "list_length": len(values) - 1})

    async def ListErase(self, request: pb._ListEraseRequest, call: Call) -> pb._ListEraseResponse:
        cache = self._cache(call)
        erased = _choice(request, "erase")
        values = cache.find(request.list_name, List)
        if values is None:
            return pb._ListEraseResponse(missing={})
        if erased == "all":
            rest = List()
        else:
            ranges = [range(r.begin_index, r.begin_index + r.count) for r in request.some.ranges]
            rest = List(v for i, v in enumerate(values) if not any(i in indices for indices in ranges))
        cache.store(request.list_name, rest)
        return pb._ListEraseResponse(found={"list_length": len(rest)})

    async def ListRemove(self, request: pb._ListRemoveRequest, call: Call) -> pb._ListRemoveResponse:
        cache = self._cache(call)
        _choice(request, "remove")
        values = cache.find(request.list_name, List)
        if values is None:
            return pb._ListRemoveResponse(missing={})
        rest = List(value for value in values if value != request.all_elements_with_value)
        cache.store(request.list_name, rest)
        return pb._ListRemoveResponse(found={"list_length": len(rest)})

    async def ListFetch(self, request: pb._ListFetchRequest, call: Call) -> pb._ListFetchResponse:
        values = self._cache(call).find(request.list_name, List)
        if values is None:
            return pb._ListFetchResponse(missing={})
        return pb._ListFetchResponse(found={"values": values[_list_slice(request)]})

    async def ListRetain(self, request: pb._ListRetainRequest, call: Call) -> pb._ListRetainResponse:
        cache = self._cache(call)
        values = cache.find(request.list_name, List)
        if values is None:
            return pb._ListRetainResponse(missing={})
        rest = List(values[_list_slice(request)])
        _store_collection(cache, request.list_name, rest, request)
        return pb._ListRetainResponse(found={"list_length": len(rest)})

    async def ListLength(self, request: pb._ListLengthRequest, call: Call) -> pb._ListLengthResponse:
        values = self._cache(call).find(request.list_name, List)
        if values is None:
            return pb._ListLengthResponse(missing={})
        return pb._ListLengthResponse(found={"length": len(values)})

    # Sorted sets

    async def SortedSetPut(self, request: pb._SortedSetPutRequest, call: Call) -> pb._SortedSetPutResponse:
        cache = self._cache(call)
        sorted_set = SortedSet(cache.find(request.set_name, SortedSet) or {})
        sorted_set.update({element.value: _score(element.score) for element in request.elements})
        _store_collection(cache, request.set_name, sorted_set, request)
        return pb._SortedSetPutResponse()

    async def SortedSetFetch(
        self, request: pb._SortedSetFetchRequest, call: Call
    ) -> pb._SortedSetFetchResponse:
        sorted_set = self._cache(call).find(request.set_name, SortedSet)
        if sorted_set is None:
            return pb._SortedSetFetchResponse(missing={})
        chosen = sorted_set.ranked(descending=request.order == pb._SortedSetFetchRequest.DESCENDING)
        match request.WhichOneof("range"):
            case "by_index":
                chosen = chosen[_index_slice(request.by_index)]
            case "by_score":
                chosen = _within_scores(chosen, request.by_score)
        if not request.with_scores:
            return pb._SortedSetFetchResponse(found={"values": {"values": [value for value, _ in chosen]}})
        elements = [{"value": value, "score": score} for value, score in chosen]
        return pb._SortedSetFetchResponse(found={"values_with_scores": {"elements": elements}})

    async def SortedSetGetScore(
        self, request: pb._SortedSetGetScoreRequest, call: Call
    ) -> pb._SortedSetGetScoreResponse:
        sorted_set = self._cache(call).find(request.set_name, SortedSet)
        if sorted_set is None:
            return pb._SortedSetGetScoreResponse(missing={})
        return pb._SortedSetGetScoreResponse(
            found={
                "elements": [
                    {"result": pb.Hit, "score": sorted_set[value]}
                    if value in sorted_set
                    else {"result": pb.Miss}
                    for value in request.values
                ]
            }
        )

    async def SortedSetRemove(
        self, request: pb._SortedSetRemoveRequest, call: Call
    ) -> pb._SortedSetRemoveResponse:
        cache = self._cache(call)
        removed = _choice(request, "remove_elements")
        sorted_set = cache.find(request.set_name, SortedSet)
        if sorted_set is not None:
            values = sorted_set.keys() if removed == "all" else set(request.some.values)
            rest = {value: score for value, score in sorted_set.items() if value not in values}
            cache.store(request.set_name, SortedSet(rest))
        return pb._SortedSetRemoveResponse()

    async def SortedSetIncrement(
        self, request: pb._SortedSetIncrementRequest, call: Call
    ) -> pb._SortedSetIncrementResponse:
        cache = self._cache(call)
        sorted_set = SortedSet(cache.find(request.set_name, SortedSet) or {})
        score = _score(sorted_set.get(request.value, 0.0) + request.amount)
        sorted_set[request.value] = score
        _store_collection(cache, request.set_name, sorted_set, request)
        return pb._SortedSetIncrementResponse(score=score)

    async def SortedSetGetRank(
        self, request: pb._SortedSetGetRankRequest, call: Call
    ) -> pb._SortedSetGetRankResponse:
        sorted_set = self._cache(call).find(request.set_name, SortedSet)
        # A missing set gets the same answer as a missing element, because the Python SDK always reads
        # `element_rank`.
        if sorted_set is None or request.value not in sorted_set:
            return pb._SortedSetGetRankResponse(element_rank={"result": pb.Miss})
        place = (sorted_set[request.value], request.value)
        rank = sum((score, value) < place for value, score in sorted_set.items())
        if request.order == pb._SortedSetGetRankRequest.DESCENDING:
            rank = len(sorted_set) - 1 - rank
        return pb._SortedSetGetRankResponse(element_rank={"result": pb.Hit, "rank": rank})

    async def SortedSetLength(
        self, request: pb._SortedSetLengthRequest, call: Call
    ) -> pb._SortedSetLengthResponse:
        sorted_set = self._cache(call).find(request.set_name, SortedSet)
        if sorted_set is None:
            return pb._SortedSetLengthResponse(missing={})
        return pb._SortedSetLengthResponse(found={"length": len(sorted_set)})

    async def SortedSetLengthByScore(
        self, request: pb._SortedSetLengthByScoreRequest, call: Call
    ) -> pb._SortedSetLengthByScoreResponse:
        sorted_set = self._cache(call).find(request.set_name, SortedSet)
        if sorted_set is None:
            return pb._SortedSetLengthByScoreResponse(missing={})
        scores: Iterable[float] = sorted_set.values()
        match request.WhichOneof("min"):
            case "inclusive_min":
                scores = [score for score in scores if score >= request.inclusive_min]
            case "exclusive_min":
                scores = [score for score in scores if score > request.exclusive_min]
        match request.WhichOneof("max"):
            case "inclusive_max":
                scores = [score for score in scores if score <= request.inclusive_max]
            case "exclusive_max":
                scores = [score for score in scores if score < request.exclusive_max]
        return pb._SortedSetLengthByScoreResponse(found={"length": len(list(scores))})

    async def SortedSetUnionStore(
        self, request: pb._SortedSetUnionStoreRequest, call: Call
    ) -> pb._SortedSetUnionStoreResponse:
        cache = self._cache(call)
        aggregate = _AGGREGATES.get(request.aggregate)
        if aggregate is None:
            raise invalid_argument("Unknown aggregate function")
        if not request.sources:
            raise invalid_argument("A union needs at least one source")
        weighted: dict[bytes, list[float]] = {}
        for source in request.sources:
            sorted_set = cache.find(source.set_name, SortedSet) or SortedSet()
            for value, score in sorted_set.items():
                weighted.setdefault(value, []).append(score * source.weight)
        union = SortedSet({value: _score(aggregate(scores)) for value, scores in weighted.items()})
        cache.store(request.set_name, union, request.ttl_milliseconds)
        return pb._SortedSetUnionStoreResponse(length=len(union))

    def _cache(self, call: Call) -> Cache:
        return self._caches[call.cache_name]

    def _get(self, request: pb._GetRequest, call: Call) -> pb._GetResponse:
        value = self._cache(call).find(request.cache_key, bytes)
        if value is None:
            return pb._GetResponse(result=pb.Miss)
        return pb._GetResponse(result=pb.Hit, cache_body=value)

    def _set(
        self,
        request: pb._SetRequest | pb._SetIfRequest | pb._SetIfHashRequest | pb._SetIfNotExistsRequest,
        call: Call,
    ) -> pb._SetResponse:
        self._cache(call).store(request.cache_key, request.cache_body, request.ttl_milliseconds)
        return pb._SetResponse(result=pb.Ok)

    def _add_front(
        self,
        request: pb._ListPushFrontRequest | pb._ListConcatenateFrontRequest,
        values: Sequence[bytes],
        call: Call,
    ) -> int:
        cache = self._cache(call)
        grown = [*values, *(cache.find(request.list_name, List) or ())]
        # 0 means that the request has no size: do not truncate.
        kept = List(grown[: request.truncate_back_to_size or None])
        _store_collection(cache, request.list_name, kept, request)
        return len(kept)

    def _add_back(
        self,
        request: pb._ListPushBackRequest | pb._ListConcatenateBackRequest,
        values: Sequence[bytes],
        call: Call,
    ) -> int:
        cache = self._cache(call)
        grown = [*(cache.find(request.list_name, List) or ()), *values]
        kept = List(grown[-request.truncate_front_to_size :])
        _store_collection(cache, request.list_name, kept, request)
        return len(kept)


def _choice(request: Message, group: str) -> str:
    """Return which field of a `oneof` is set. Raise INVALID_ARGUMENT if none is."""
    choice: str | None = request.WhichOneof(group)
    if choice is None:
        fields = ", ".join(field.name for field in request.DESCRIPTOR.oneofs_by_name[group].fields)
        raise invalid_argument(f"One of these fields is required: {fields}")
    return choice


def _store_collection(cache: Cache, name: bytes, value: Value, request: Any) -> None:
    """Store a changed collection with the request's collection TTL."""
    cache.store(name, value, request.ttl_milliseconds, refresh_ttl=request.refresh_ttl)


def _hash(value: bytes) -> bytes:
    """Return the hash of a value for the hash-conditional calls. It is opaque to clients."""
    return hashlib.blake2b(value, digest_size=16).digest()


def _incremented(value: bytes | None, amount: int) -> int:
    """Return the base-10 number in `value` (None: 0) plus `amount`. Raise FAILED_PRECONDITION."""
    if value is None:
        value = b"0"
    if not re.fullmatch(rb"-?[0-9]{1,19}", value):
        raise failed_precondition("The value is not a base-10 integer")
    total = int(value) + amount
    if total not in _INT64:
        raise failed_precondition("The incremented value does not fit into 64 bits")
    return total


def _sample(elements: set[bytes], count: int) -> list[bytes]:
    """Return up to `count` distinct random elements."""
    return random.sample(sorted(elements), min(count, len(elements)))


def _score(score: float) -> float:
    if math.isnan(score):
        raise invalid_argument("A score must be a number")
    return score


def _list_slice(request: pb._ListFetchRequest | pb._ListRetainRequest) -> slice:
    """Return the request's range. Negative indices count from the end, as in Python."""
    start = request.inclusive_start if request.HasField("inclusive_start") else None
    end = request.exclusive_end if request.HasField("exclusive_end") else None
    return slice(start, end)


def _index_slice(by_index: pb._SortedSetFetchRequest._ByIndex) -> slice:
    start = by_index.inclusive_start_index if by_index.HasField("inclusive_start_index") else None
    end = by_index.exclusive_end_index if by_index.HasField("exclusive_end_index") else None
    return slice(start, end)


def _within_scores(
    ranked: list[tuple[bytes, float]], by_score: pb._SortedSetFetchRequest._ByScore
) -> list[tuple[bytes, float]]:
    """Return the elements in the range of scores, and of these `count` (negative: all) from `offset` on."""
    low, high = by_score.min_score, by_score.max_score
    chosen = ranked
    if by_score.HasField("min_score"):
        chosen = [e for e in chosen if e[1] > low.score or (e[1] == low.score and not low.exclusive)]
    if by_score.HasField("max_score"):
        chosen = [e for e in chosen if e[1] < high.score or (e[1] == high.score and not high.exclusive)]
    end = None if by_score.count < 0 else by_score.offset + by_score.count
    return chosen[by_score.offset : end]
