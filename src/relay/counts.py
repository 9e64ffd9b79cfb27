"""What the relay counts, from all its threads, and reports as metrics while it runs."""

from __future__ import annotations

import sys
from collections import Counter
from threading import Lock

from aws_lambda_powertools import Metrics
from aws_lambda_powertools.metrics import MetricUnit

DELIVERED = "RelayDelivered"
RETRIES = "RelayRetries"
REFUSED = "RelayRefused"
DISCONTINUITIES = "RelayDiscontinuities"
MESSAGES_MISSED = "RelayMessagesMissed"
TOPIC_RESTARTS = "RelayTopicRestarts"
RECONNECTS = "RelayReconnects"
LAG_SECONDS = "RelayLagSeconds"


class Counts:
    """Counts since the beginning of a run."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._totals: Counter[str] = Counter()
        self._reported: Counter[str] = Counter()
        self._metrics = Metrics()

    def __getitem__(self, name: str) -> int:
        return self._totals[name]

    def add(self, name: str, count: int = 1) -> None:
        """Counts, from any thread."""
        with self._lock:
            self._totals[name] += count

    def report(self, lag_seconds: float) -> None:
        """Writes what was counted since the last report, and how far behind the relay is."""
        with self._lock:
            totals = self._totals.copy()
        for name, count in (totals - self._reported).items():
            self._metrics.add_metric(name, MetricUnit.Count, count)
        self._reported = totals
        self._metrics.add_metric(LAG_SECONDS, MetricUnit.Seconds, lag_seconds)
        self._metrics.flush_metrics()
        sys.stdout.flush()  # Else a pipe would get it minutes later, when the buffer is full.
