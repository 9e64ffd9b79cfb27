"""Faults on demand: errors, delays and broken streams.

They are asked for in two ways. A client sends request metadata with its calls, as the SDKs' own test
middlewares do against Momento Local (`tests/momento/local` in Momento's Python SDK); whoever cannot send
metadata, such as a Lambda function under test, has them set on the server through the test admin.

Counts in metadata are per `request-id`, which is the id of a test rather than of one call, and per set of
faults asked for under it. Without a `request-id` nothing is counted: each call is the first.
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
"""gRPC statuses by the names that the metadata uses, such as `unavailable`."""


@dataclass
class Fault:
    """What happens to the next `count` calls (None: to all of them) of `rpcs`: a delay, an error, or both.

    It happens before the call is carried out, or, `after_work`, before it is answered.
    """

    rpcs: frozenset[str]
    error: grpc.StatusCode | None = None
    delay_seconds: float = 0.0
    count: int | None = None
    after_work: bool = False

    async def strike(self, rpc: str, *, after_work: bool = False) -> None:
        if rpc not in self.rpcs or self.count == 0 or self.after_work != after_work:
            return
        if self.count is not None:
            self.count -= 1
        if self.delay_seconds:
            await asyncio.sleep(self.delay_seconds)
        if self.error is not None:
            raise injected(self.error)


@dataclass(frozen=True)
class StreamFault:
    """A stream ends with `error` (None: it does not) after `message_limit` messages, heartbeats included."""

    error: grpc.StatusCode | None = None
    message_limit: int = 0

    def strike(self, messages_sent: int) -> None:
        if self.error is not None and messages_sent >= self.message_limit:
            raise injected(self.error)


def injected(error: grpc.StatusCode) -> MomentoError:
    return MomentoError(error, "Injected fault")


class Faults:
    """All faults now in force."""

    def __init__(self) -> None:
        self._server_faults: list[Fault] = []
        self._request_faults: OrderedDict[tuple[str | None, ...], list[Fault]] = OrderedDict()

    def add(self, fault: Fault) -> None:
        """Set a fault on the server, for every caller."""
        self._server_faults.append(fault)

    def clear(self) -> None:
        """Forget all faults set on the server, and all counts."""
        self._server_faults.clear()
        self._request_faults.clear()

    async def strike(self, rpc: str, metadata: Mapping[str, str]) -> None:
        """Delay or fail a call of `rpc`, if that is what its metadata or the server's faults say."""
        for fault in (*self._from_metadata(metadata), *self._server_faults):
            await fault.strike(rpc)

    async def strike_answer(self, rpc: str) -> None:
        """Delay or fail the answer to a call of `rpc` that was carried out, if the server's faults say so."""
        for fault in self._server_faults:
            await fault.strike(rpc, after_work=True)

    def stream_fault(self, rpc: str, metadata: Mapping[str, str]) -> StreamFault:
        """How the stream of this call is to end."""
        if rpc not in metadata.get("stream-error-rpcs", "").split():
            return StreamFault()
        error = ERRORS.get(metadata.get("stream-error", ""))
        return StreamFault(error, _number(metadata, "stream-error-message-limit") or 0)

    def _from_metadata(self, metadata: Mapping[str, str]) -> list[Fault]:
        faults = _asked_for(metadata)
        if not faults or not metadata.get("request-id"):
            return faults
        key = tuple(metadata.get(name) for name in METADATA_NAMES)
        faults = self._request_faults.setdefault(key, faults)
        self._request_faults.move_to_end(key)
        if len(self._request_faults) > _REMEMBERED_REQUESTS:
            self._request_faults.popitem(last=False)
        return faults


def _asked_for(metadata: Mapping[str, str]) -> list[Fault]:
    faults = []
    # Delays first: a call that is both delayed and failed fails late.
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
