"""Fault injection: errors, delays and broken streams.

Faults come from two sources. A client can request them in the metadata of its calls, as the test middlewares
of the SDKs do with Momento Local (`tests/momento/local` in Momento's Python SDK). The test admin sets them on
the server, for clients that cannot send metadata, such as a Lambda function under test.

Counts in metadata apply per `request-id` (the id of a test, not of one call) and per set of requested faults.
Without a `request-id`, every call counts as the first one.
"""

import asyncio
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass

import grpc

from local.momento.errors import MomentoError
from local.momento.numbers import parse_number

METADATA_NAMES = (
    "request-id",
    "return-error",
    "error-rpcs",
    "error-count",
    "delay-rpcs",
    "delay-ms",
    "delay-count",
    "stream-error-rpcs",
    "stream-error",
    "stream-error-message-limit",
)
_REMEMBERED_REQUESTS = 1000

ERRORS = {
    status.name.lower().replace("_", "-"): status
    for status in grpc.StatusCode
    if status is not grpc.StatusCode.OK
}
"""gRPC statuses by their names in metadata, such as `unavailable`."""


@dataclass
class Fault:
    """A delay, an error, or both for the next `count` calls (None: all calls) of `rpcs`.

    It applies before the call is carried out or, with `after_work`, before the answer is sent.
    """

    rpcs: frozenset[str]
    error: grpc.StatusCode | None = None
    delay_seconds: float = 0.0
    count: int | None = None
    after_work: bool = False

    async def apply(self, rpc: str, *, after_work: bool = False) -> None:
        if rpc not in self.rpcs or self.count == 0 or self.after_work != after_work:
            return
        if self.count is not None:
            self.count -= 1
        if self.delay_seconds:
            await asyncio.sleep(self.delay_seconds)
        if self.error is not None:
            raise _injected(self.error)


@dataclass(frozen=True)
class StreamFault:
    """End a stream with `error` (None: no fault) after `message_limit` messages, including heartbeats."""

    error: grpc.StatusCode | None = None
    message_limit: int = 0

    def apply(self, messages_sent: int) -> None:
        if self.error is not None and messages_sent >= self.message_limit:
            raise _injected(self.error)


def _injected(error: grpc.StatusCode) -> MomentoError:
    return MomentoError(error, "Injected fault")


class Faults:
    """All active faults."""

    def __init__(self) -> None:
        self._server_faults: list[Fault] = []
        self._request_faults: OrderedDict[tuple[str | None, ...], list[Fault]] = OrderedDict()

    def add(self, fault: Fault) -> None:
        """Add a fault for all callers."""
        self._server_faults.append(fault)

    def clear(self) -> None:
        """Remove all faults of the server, and all counts."""
        self._server_faults.clear()
        self._request_faults.clear()

    async def apply(self, rpc: str, metadata: Mapping[str, str]) -> None:
        """Delay or fail a call of `rpc`, as its metadata and the server's faults require."""
        for fault in (*self._from_metadata(metadata), *self._server_faults):
            await fault.apply(rpc)

    async def apply_to_answer(self, rpc: str) -> None:
        """Delay or fail the answer of a completed call of `rpc`, as the server's faults require."""
        for fault in self._server_faults:
            await fault.apply(rpc, after_work=True)

    def stream_fault(self, rpc: str, metadata: Mapping[str, str]) -> StreamFault:
        """Return the fault for the stream of this call."""
        if rpc not in metadata.get("stream-error-rpcs", "").split():
            return StreamFault()
        error = ERRORS.get(metadata.get("stream-error", ""))
        return StreamFault(error, _number(metadata, "stream-error-message-limit") or 0)

    def _from_metadata(self, metadata: Mapping[str, str]) -> list[Fault]:
        faults = _requested_faults(metadata)
        if not faults or not metadata.get("request-id"):
            return faults
        key = tuple(metadata.get(name) for name in METADATA_NAMES)
        faults = self._request_faults.setdefault(key, faults)
        self._request_faults.move_to_end(key)
        if len(self._request_faults) > _REMEMBERED_REQUESTS:
            self._request_faults.popitem(last=False)
        return faults


def _requested_faults(metadata: Mapping[str, str]) -> list[Fault]:
    faults = []
    # Delays come first, so that a call with both faults fails after the delay.
    if "delay-rpcs" in metadata:
        faults.append(
            Fault(
                frozenset(metadata["delay-rpcs"].split()),
                delay_seconds=(_number(metadata, "delay-ms") or 0) / 1000,
                count=_number(metadata, "delay-count"),
            )
        )
    if "error-rpcs" in metadata:
        faults.append(
            Fault(
                frozenset(metadata["error-rpcs"].split()),
                error=ERRORS.get(metadata.get("return-error", "")),
                count=_number(metadata, "error-count"),
            )
        )
    return faults


def _number(metadata: Mapping[str, str], name: str) -> int | None:
    return parse_number(metadata.get(name, ""))
