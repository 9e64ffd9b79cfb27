"""Messages in hand, in lanes: one for each publisher."""

from __future__ import annotations

import contextlib
import heapq
import itertools
import time
from collections import deque
from concurrent.futures import ThreadPoolExecutor
from threading import Condition, Lock
from typing import Protocol

from aws_lambda_powertools import Logger

logger = Logger(child=True)


class Waiting(Protocol):
    """Something that waits in a lane until it is dealt with."""

    @property
    def lane(self) -> str:
        """Name the lane."""

    @property
    def size(self) -> int:
        """Return the bytes that it takes."""

    @property
    def waiting_since(self) -> float:
        """Return since when it has been waiting, in seconds of `time.monotonic`."""

    def attempt(self) -> float | None:
        """Try to deal with it. Return None once that is done, or how long to pause, in seconds."""

    def leave(self, deadline: float) -> bool:
        """Leave it to the next run. Return whether it is safe.

        Begin nothing after `deadline`, in seconds of `time.monotonic`.
        """


class Lanes:
    """Deals with all that is in hand: in order within a lane, and side by side among the lanes.

    The lanes take turns, so a long lane delays no other one. A pause holds back its own lane only, and no
    thread. The bytes in hand are bounded: while there is no room, `put` waits.
    """

    def __init__(self, max_bytes: int) -> None:
        self._lock = Lock()
        self._has_room = Condition(self._lock)
        self._idle: list[Condition] = []
        """One for each thread that waits for work. The last is woken first, which costs less."""
        self._lanes: dict[str, deque[Waiting]] = {}
        self._ready: deque[str] = deque()
        self._paused: list[tuple[float, str]] = []
        self._max_bytes = max_bytes
        self._bytes = 0
        self._is_closed = False

    @property
    def count(self) -> int:
        """Return how many lanes have something in hand."""
        return len(self._lanes)

    @property
    def is_full(self) -> bool:
        """Return whether `put` would wait."""
        return self._bytes >= self._max_bytes

    def oldest_seconds(self) -> float:
        """Return how long the oldest in hand has been waiting; 0 if there is none."""
        with self._lock:
            since = min((lane[0].waiting_since for lane in self._lanes.values()), default=None)
        return 0.0 if since is None else max(time.monotonic() - since, 0.0)

    def put(self, waiting: Waiting) -> None:
        """Put it at the end of its lane, once there is room, unless the lanes are closed before."""
        with self._has_room:
            self._has_room.wait_for(lambda: self._is_closed or not self.is_full)
            if self._is_closed:
                return
            self._bytes += waiting.size
            if lane := self._lanes.get(waiting.lane):
                lane.append(waiting)
            else:
                self._lanes[waiting.lane] = deque([waiting])
                self._ready.append(waiting.lane)
                self._wake_one()

    def work(self) -> None:
        """Deal with one after the other until the lanes are closed. Several threads may call this."""
        while (waiting := self._take()) is not None:
            pause = waiting.attempt()
            if pause is None:
                self._finish(waiting)
            else:
                self._postpone(waiting, pause)

    def close(self) -> None:
        """End all waiting. What is in hand stays undone; attempts that have begun go on to their end."""
        with self._lock:
            self._is_closed = True
            self._has_room.notify_all()
            while self._idle:
                self._wake_one()

    def leave(self, *, threads: int, seconds: float) -> None:
        """Leave all that is in hand to the next run, after all work has ended. Stop after so many seconds.

        The longest lane comes last, so that a publisher who floods loses messages first if time is short.
        """
        deadline = time.monotonic() + seconds
        shortest_first = sorted(self._lanes.values(), key=len)
        in_hand = itertools.chain.from_iterable(shortest_first)
        with ThreadPoolExecutor(threads) as pool:
            are_safe = list(pool.map(lambda waiting: waiting.leave(deadline), in_hand))
        if not all(are_safe):
            logger.error("not all that is in hand is safe", count=are_safe.count(False))

    def _take(self) -> Waiting | None:
        """Wait for a lane whose turn it is. Return the first in it, or None if the lanes are closed."""
        with self._lock:
            while not self._is_closed:
                self._resume_paused()
                if self._ready:
                    return self._lanes[self._ready.popleft()][0]
                self._wait_for_work()
            return None

    def _wait_for_work(self) -> None:
        due = self._paused[0][0] if self._paused else None
        woken = Condition(self._lock)
        self._idle.append(woken)
        if not woken.wait(None if due is None else max(due - time.monotonic(), 0)):
            with contextlib.suppress(ValueError):  # It was woken at the same moment.
                self._idle.remove(woken)

    def _wake_one(self) -> None:
        if self._idle:
            self._idle.pop().notify()

    def _resume_paused(self) -> None:
        now = time.monotonic()
        while self._paused and self._paused[0][0] <= now:
            self._ready.append(heapq.heappop(self._paused)[1])
            self._wake_one()

    def _finish(self, waiting: Waiting) -> None:
        with self._lock:
            lane = self._lanes[waiting.lane]
            lane.popleft()
            if lane:
                self._ready.append(waiting.lane)  # This thread comes for it, or for another one.
            else:
                del self._lanes[waiting.lane]
            if self.is_full:
                self._has_room.notify_all()
            self._bytes -= waiting.size

    def _postpone(self, waiting: Waiting, seconds: float) -> None:
        with self._lock:
            heapq.heappush(self._paused, (time.monotonic() + seconds, waiting.lane))
            self._wake_one()  # Another thread may be waiting for a later one.
