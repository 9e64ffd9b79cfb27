"""Measure the whole loop on the local stack, from publish to stored, under growing load.

Messages are published at fixed times, even if the system does not keep up, so that latencies include
waiting. The webhook's log has the time at which each message id was stored, and the stored entries map
these ids to the published messages.
"""

import asyncio
import json
import os
import re
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime
from itertools import count
from pathlib import Path
from typing import Any

import grpc
import psutil
from momento_wire_types import cacheclient_pb2 as cache_messages
from momento_wire_types import cacheclient_pb2_grpc as cache_service
from momento_wire_types import cachepubsub_pb2 as topic_messages
from momento_wire_types import cachepubsub_pb2_grpc as topic_service
from momento_wire_types import permissionmessages_pb2 as permissions
from momento_wire_types import token_pb2 as token_messages
from momento_wire_types import token_pb2_grpc as token_service

from bench.figures import quantile
from bench.measurements import Step
from bench.relay_alone import DEFAULT_CONCURRENCY
from local.stack.local_stack import MOMENTO_WEBHOOK

MESSAGES_PER_PUBLISHER = 5
"""Messages a second that one publisher publishes."""

_COURSES = 40
_SECONDS_TO_STORE_ALL = 15
_MIN_STORED_SHARE = 0.9
_MAX_P99_MS = 2000
_BUSY_SHARE = 0.8
_MILLISECONDS_PER_DAY = 86_400_000
_REPORTED_MILLIS = re.compile(rb"^REPORT .*?\tDuration: ([0-9.]+) ms", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Load:
    """A load: the number of concurrent publishers, of users, and of entries in each list before the run."""

    publishers: int
    users: int
    list_length: int

    @property
    def rate(self) -> int:
        """Return the messages published a second."""
        return self.publishers * MESSAGES_PER_PUBLISHER


@dataclass(frozen=True, slots=True)
class Outcome:
    """The measurements of a load. `processors` is the average number of processors that each part used."""

    load: Load
    published: int
    stored: int
    stored_per_second: float
    p50_ms: float
    p99_ms: float
    processors: Mapping[str, float]
    busy_processors: float
    """The average number of busy processors, including other programs on this machine."""
    concurrent_webhooks: float
    """The average number of concurrent webhook invocations."""
    by_relay: bool
    """Whether the relay called the webhook (else Momento did)."""

    @property
    def saturated(self) -> bool:
        """Return whether the system did not keep up."""
        return self.stored_per_second < self.load.rate * _MIN_STORED_SHARE or self.p99_ms > _MAX_P99_MS


class LoadGenerator:
    """Publish messages as users of a stack, and measure when each message was stored."""

    def __init__(self, facts: Mapping[str, Any], state_directory: Path, stack: psutil.Process) -> None:
        """Use the stack that `facts` describes; it runs in the process `stack` and its children."""
        self._facts = facts
        self._log = state_directory / "logs" / "WebhookFunction.log"
        self._stack = stack
        self._round = count(int(time.time()))
        self._key = (("authorization", facts["momento"]["api_key"]), ("cache", facts["cache"]))

    @asynccontextmanager
    async def connected(self) -> AsyncIterator["LoadGenerator"]:
        """Connect to the stack's Momento."""
        momento = self._facts["momento"]
        async with grpc.aio.insecure_channel(f"{momento['host']}:{momento['port']}") as channel:
            self._topics = topic_service.PubsubStub(channel)
            self._caches = cache_service.ScsStub(channel)
            self._tokens = token_service.TokenStub(channel)
            yield self

    async def apply(self, load: Load, seconds: float) -> Outcome:
        """Publish for `seconds`, wait some seconds until all is stored, and return the measurements."""
        tokens = [await self._token(f"user{number}") for number in range(load.users)]
        prefix = f"bench-{next(self._round)}"
        await self._fill_lists(prefix, load.list_length)
        position = self._log.stat().st_size
        before, busy_before = _processor_seconds(self._stack), _busy_seconds()
        began = time.time()
        published = await self._publish(load, seconds, tokens, prefix)
        stored = await self._stored(prefix, position, len(published))
        used, elapsed = _processor_seconds(self._stack), time.time() - began
        ended = max(stored.values(), default=time.time())
        until_stored = max(seconds, ended - began)
        latencies = [(stored[number] - at) * 1000 for number, at in published.items() if number in stored]
        return Outcome(
            load=load,
            published=len(published),
            stored=len(stored),
            stored_per_second=len(stored) / until_stored,
            p50_ms=quantile(latencies, 0.5) if latencies else 0.0,
            p99_ms=quantile(latencies, 0.99) if latencies else 0.0,
            processors={part: round((used[part] - before.get(part, 0.0)) / elapsed, 2) for part in used},
            busy_processors=round((_busy_seconds() - busy_before) / elapsed, 2),
            by_relay=self._facts["message_source"] != MOMENTO_WEBHOOK,
            concurrent_webhooks=round(_invoked_seconds(self._log, position) / until_stored, 2),
        )

    async def _publish(
        self, load: Load, seconds: float, tokens: Sequence[str], prefix: str
    ) -> dict[int, float]:
        """Publish at the load's rate. Return the planned time of each message, by its number."""
        begin = time.time() + 0.1
        due = {number: begin + number / load.rate for number in range(int(seconds * load.rate))}

        async def publish(number: int, at: float) -> None:
            await asyncio.sleep(at - time.time())
            text = json.dumps({"courseId": f"{prefix}-{number % _COURSES}", "comment": str(number)})
            await self._topics.Publish(
                topic_messages._PublishRequest(
                    cache_name=self._facts["cache"],
                    topic=self._facts["topic"],
                    value=topic_messages._TopicValue(text=text),
                ),
                metadata=(("authorization", tokens[number % len(tokens)]),),
            )

        await asyncio.gather(*(publish(number, at) for number, at in due.items()))
        return due

    async def _stored(self, prefix: str, position: int, expected: int) -> dict[int, float]:
        """Return when each message was stored, by its number."""
        give_up = time.monotonic() + _SECONDS_TO_STORE_ALL
        times: dict[str, float] = {}
        while len(times) < expected and time.monotonic() < give_up:
            await asyncio.sleep(0.1)
            times = _times_stored(self._log, position)
        numbers = await self._numbers_by_id(prefix)
        return {numbers[message_id]: at for message_id, at in times.items() if message_id in numbers}

    async def _numbers_by_id(self, prefix: str) -> dict[str, int]:
        numbers = {}
        for course in range(_COURSES):
            fetched = await self._caches.ListFetch(
                cache_messages._ListFetchRequest(list_name=f"{prefix}-{course}".encode()), metadata=self._key
            )
            for value in fetched.found.values:
                entry = json.loads(value)
                if "id" in entry:
                    numbers[entry["id"]] = int(entry["comment"])
        return numbers

    async def _fill_lists(self, prefix: str, length: int) -> None:
        entry = json.dumps({"userID": "taylor", "comment": "x" * 80}).encode()
        for course in range(_COURSES if length else 0):
            await self._caches.ListConcatenateFront(
                cache_messages._ListConcatenateFrontRequest(
                    list_name=f"{prefix}-{course}".encode(),
                    values=[entry] * length,
                    ttl_milliseconds=_MILLISECONDS_PER_DAY,
                ),
                metadata=self._key,
            )

    async def _token(self, user: str) -> str:
        may_publish = permissions.PermissionsType(
            topic_permissions=permissions.PermissionsType.TopicPermissions(
                role=permissions.TopicWriteOnly,
                cache_selector=permissions.PermissionsType.CacheSelector(cache_name=self._facts["cache"]),
                topic_selector=permissions.PermissionsType.TopicSelector(topic_name=self._facts["topic"]),
            )
        )
        minted = await self._tokens.GenerateDisposableToken(
            token_messages._GenerateDisposableTokenRequest(
                expires=token_messages._GenerateDisposableTokenRequest.Expires(valid_for_seconds=3600),
                auth_token=self._facts["momento"]["api_key"],
                permissions=permissions.Permissions(
                    explicit=permissions.ExplicitPermissions(permissions=[may_publish])
                ),
                token_id=user,
            ),
            metadata=self._key,
        )
        token: str = minted.api_key
        return token


async def grow(generator: LoadGenerator, *, quick: bool, step: Step) -> dict[str, list[Outcome]]:
    """Grow publishers until the system saturates, then users, then lists. Return the outcomes of each."""
    seconds = _seconds(quick)
    by_publishers = await grow_publishers(generator, quick=quick, step=step)
    sustained = [outcome.load.publishers for outcome in by_publishers if not outcome.saturated]
    half = max(1, max(sustained, default=1) // 2)
    by_users, by_list_length = [], []
    for users in (1,) if quick else (1, 10, 100, 1000):
        step(f"{users} users")
        by_users.append(await generator.apply(Load(half, users, list_length=0), seconds))
    for length in (0,) if quick else (0, 50, 100, 150):
        step(f"lists of {length}")
        by_list_length.append(await generator.apply(Load(half, 10, length), seconds))
    return {"publishers": by_publishers, "users": by_users, "list length": by_list_length}


async def grow_publishers(generator: LoadGenerator, *, quick: bool, step: Step) -> list[Outcome]:
    """Double the publishers until the system saturates. A load that starts the functions comes first."""
    step("start the functions")
    await generator.apply(Load(publishers=4, users=1, list_length=0), 2.0)
    outcomes: list[Outcome] = []
    for doubling in range(2 if quick else 9):
        load = Load(publishers=2**doubling, users=10, list_length=0)
        step(f"{load.rate} messages a second")
        outcomes.append(await generator.apply(load, _seconds(quick)))
        if outcomes[-1].saturated:
            break
    return outcomes


def _seconds(quick: bool) -> float:
    return 1.0 if quick else 8.0


def bottleneck(outcome: Outcome) -> str:
    """Return a sentence that names what limited the throughput."""
    processors = os.cpu_count() or 1
    part, used = max(outcome.processors.items(), key=lambda item: item[1])
    if outcome.busy_processors >= _BUSY_SHARE * processors:
        others = max(0.0, outcome.busy_processors - sum(outcome.processors.values()))
        return (
            f"the machine was at its limit, with {outcome.busy_processors:.1f} of its {processors} "
            f"processors busy; {part} used most ({used:.1f}), and other programs used {others:.1f}"
        )
    lanes = min(outcome.load.users, DEFAULT_CONCURRENCY)
    if outcome.by_relay and outcome.concurrent_webhooks >= _BUSY_SHARE * lanes:
        return (
            f"the relay was at its limit: each of its {lanes} lanes was waiting for the webhook "
            f"{outcome.concurrent_webhooks / lanes:.0%} of the time"
        )
    return f"neither the machine nor the relay was at its limit; {part} used {used:.1f} processors, the most"


def _times_stored(log: Path, position: int) -> dict[str, float]:
    with log.open("rb") as file:
        file.seek(position)
        lines = file.read().splitlines()
    times = {}
    for line in lines:
        if b'"stored"' in line:
            entry = json.loads(line)
            times[entry["message_id"]] = datetime.strptime(
                entry["timestamp"], "%Y-%m-%d %H:%M:%S,%f%z"
            ).timestamp()
    return times


def _invoked_seconds(log: Path, position: int) -> float:
    """Return the total seconds of the invocations that a function's log reports after `position`."""
    with log.open("rb") as file:
        file.seek(position)
        return sum(float(millis) for millis in _REPORTED_MILLIS.findall(file.read())) / 1000


def _processor_seconds(stack: psutil.Process) -> dict[str, float]:
    """Return the processor time so far of each part of the system, and of this process."""
    used: dict[str, float] = {}
    for process in (psutil.Process(), stack, *stack.children(recursive=True)):
        try:
            times = process.cpu_times()
            part = _part(process, stack)
        except psutil.NoSuchProcess:
            continue
        used[part] = used.get(part, 0.0) + times.user + times.system
    return used


def _busy_seconds() -> float:
    """Return the processor time so far of everything on this machine."""
    times = psutil.cpu_times()
    idle: float = times.idle + getattr(times, "iowait", 0.0)
    return sum(times) - idle


def _part(process: psutil.Process, stack: psutil.Process) -> str:
    if process.pid == os.getpid():
        return "the load generator"
    if process.pid == stack.pid:
        return "Momento and the Lambda host"
    command = process.cmdline()
    if "local.aws.moto_server" in command:
        return "the AWS services"
    return f"{command[-1].partition('.')[0]} processes" if command else "other"
