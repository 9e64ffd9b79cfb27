"""What the relay counts and measures, from all its threads, and reports as metrics while it runs."""

from __future__ import annotations

import random
import sys
from collections import Counter
from threading import Lock

from aws_lambda_powertools import Metrics
from aws_lambda_powertools.metrics import MetricUnit

DELIVERED = "RelayDelivered"
RETRIES = "RelayRetries"
REFUSED = "RelayRefused"
SPILLED = "RelaySpilled"
DISCONTINUITIES = "RelayDiscontinuities"
MESSAGES_MISSED = "RelayMessagesMissed"
TOPIC_RESTARTS = "RelayTopicRestarts"
RECONNECTS = "RelayReconnects"
DELIVERY_TIME = "RelayDeliveryTime"
LAG_SECONDS = "RelayLagSeconds"
OLDEST_MESSAGE_SECONDS = "RelayOldestMessageSeconds"
LANES = "RelayLanes"

_SAMPLE_SIZE = 99
"""Delivery times in a report: CloudWatch takes 100 values of a metric at once."""


class RelayMetrics:
    """Counts since the beginning of a run, and delivery times since the last report."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._totals: Counter[str] = Counter()
        self._reported: Counter[str] = Counter()
        self._times: list[float] = []
        self._times_seen = 0
        self._metrics = Metrics()

    def __getitem__(self, name: str) -> int:
        return self._totals[name]

    def add(self, name: str, count: int = 1) -> None:
        """Count."""
        with self._lock:
            self._totals[name] += count

    def add_delivered(self, seconds: float) -> None:
        """Count a message that was delivered so long after it was read. A random sample is reported."""
        with self._lock:
            self._totals[DELIVERED] += 1
            self._times_seen += 1
            if len(self._times) < _SAMPLE_SIZE:
                self._times.append(seconds)
            elif (place := random.randrange(self._times_seen)) < _SAMPLE_SIZE:  # noqa: S311 - a sample
                self._times[place] = seconds

    def report(self, *, lag_seconds: float, oldest_seconds: float, lanes: int) -> None:
        """Write what was counted since the last report, and how far behind the relay is."""
        with self._lock:
            totals = self._totals.copy()
            times, self._times, self._times_seen = self._times, [], 0
        for name, count in (totals - self._reported).items():
            self._metrics.add_metric(name, MetricUnit.Count, count)
        self._reported = totals
        for seconds in times:
            self._metrics.add_metric(DELIVERY_TIME, MetricUnit.Milliseconds, round(seconds * 1000, 1))
        self._metrics.add_metric(LAG_SECONDS, MetricUnit.Seconds, lag_seconds)
        self._metrics.add_metric(OLDEST_MESSAGE_SECONDS, MetricUnit.Seconds, oldest_seconds)
        self._metrics.add_metric(LANES, MetricUnit.Count, lanes)
        self._metrics.flush_metrics()
        sys.stdout.flush()  # A pipe would get it minutes later, when the buffer is full.
