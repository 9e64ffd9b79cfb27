"""What a benchmark has found: everything that its table, its plots and docs/performance.md are made of."""

import os
import platform
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime

from bench.cost import idempotency_dollars_per_million, lambda_dollars_per_million
from bench.loop import Outcome
from bench.measuring import Measured
from bench.relay_alone import RelayOutcome

_LATEST_P99_MS = 500
"""A tenth of the time that the webhook's caller waits."""


@dataclass(frozen=True, slots=True)
class Target:
    """A goal: what `measured` is, and what it must not exceed."""

    what: str
    measured: float
    limit: float
    unit: str

    @property
    def met(self) -> bool:
        """Whether it is reached."""
        return self.measured <= self.limit


@dataclass(frozen=True, slots=True)
class Results:
    """Figures by subject; the reference's subjects are named `reference ...`."""

    python: str
    architecture: str
    package_bytes: int
    package_zipped_bytes: int
    functions: Mapping[str, Measured]
    load_parts: Mapping[str, Mapping[str, float]]
    by_memory: Mapping[str, Mapping[int, Measured]]
    loop: Mapping[str, list[Outcome]]
    relay: list[RelayOutcome]
    """The relay alone, under several loads."""
    relay_by_memory: Mapping[int, RelayOutcome]
    """The relay alone at 100 messages a second."""
    machine: str = field(default_factory=lambda: f"{os.cpu_count()} x {_processor()}, {platform.system()}")
    at: str = field(default_factory=lambda: datetime.now(UTC).isoformat(timespec="seconds"))

    def dollars(self) -> dict[str, dict[int, float]]:
        """Lambda's price of a million invocations, by subject and memory size."""
        return {
            name: {
                size: lambda_dollars_per_million(measured.billed, size, self.architecture)
                for size, measured in by_size.items()
                if measured.billed is not None
            }
            for name, by_size in self.by_memory.items()
        }

    def cheapest_memory(self) -> int | None:
        """The memory size at which the webhook costs least, fits, and has its p99 early enough."""
        dollars = self.dollars().get("webhook", {})
        fits = [
            size
            for size, measured in self.by_memory.get("webhook", {}).items()
            if measured.p99 and measured.p99.median < _LATEST_P99_MS and measured.peak_megabytes.median < size
        ]
        return min(fits, key=dollars.__getitem__, default=None)

    def targets(self) -> Iterator[Target]:
        """The goals that can be judged, the reference's only where it was measured."""
        ours = self.functions
        for name in ("webhook", "publisher", "token vendor"):
            # The reference mints its tokens in its publisher.
            reference = ours.get("reference webhook" if name == "webhook" else "reference publisher")
            if reference:
                yield Target(f"{name}: cold start", ours[name].cold.median, reference.cold.median, "ms")
                process = Target(
                    f"{name}: cold start, from the start of the process",
                    ours[name].process.median,
                    reference.process.median,
                    "ms",
                )
                yield process
                yield Target(f"{name}: restored", ours[name].first.median, reference.cold.median / 2, "ms")
        yield from self._warm_targets()

    def _warm_targets(self) -> Iterator[Target]:
        p50 = {name: measured.p50.median for name, measured in self.functions.items() if measured.p50}
        if "reference webhook" in p50:
            yield Target(
                "webhook without idempotency: p50",
                p50["webhook without idempotency"],
                p50["reference webhook"],
                "ms",
            )
        if "reference publisher" in p50:
            yield Target("publisher: p50", p50["publisher"], 0.6 * p50["reference publisher"], "ms")
        yield Target(
            "token vendor, same user: p50", p50["token vendor, same user"], p50["token vendor"] / 10, "ms"
        )

    def idempotency_dollars(self) -> float:
        """DynamoDB's price of a million messages."""
        return idempotency_dollars_per_million()


def _processor() -> str:
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as file:  # noqa: PTH123
            names = [line.partition(":")[2].strip() for line in file if line.startswith("model name")]
    except OSError:
        names = []
    return names[0] if names else platform.machine()
