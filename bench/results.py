"""The results of a benchmark, from which the tables, the plots and docs/performance.md are made."""

import os
import platform
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime

from bench.cost import lambda_dollars_per_million
from bench.loop import Outcome
from bench.measurements import Measured
from bench.relay_alone import RelayOutcome

_MAX_P99_MS = 500
"""A tenth of the time that the webhook's caller waits."""


@dataclass(frozen=True, slots=True)
class Target:
    """A goal: `measured` must not exceed `limit`."""

    name: str
    measured: float
    limit: float
    unit: str

    @property
    def met(self) -> bool:
        """Return whether the goal is reached."""
        return self.measured <= self.limit


@dataclass(frozen=True, slots=True)
class Results:
    """The figures, by subject. The names of the reference's subjects start with `reference`."""

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
    measured_at: str = field(default_factory=lambda: datetime.now(UTC).isoformat(timespec="seconds"))

    def dollars(self) -> dict[str, dict[int, float]]:
        """Return Lambda's price of a million invocations, by subject and memory size."""
        return {
            name: {
                size: lambda_dollars_per_million(measured.billed, size, self.architecture)
                for size, measured in by_size.items()
                if measured.billed is not None
            }
            for name, by_size in self.by_memory.items()
        }

    def cheapest_memory(self) -> int | None:
        """Return the memory size at which the webhook costs least, fits, and has a p99 below 500 ms."""
        dollars = self.dollars().get("webhook", {})
        fits = [
            size
            for size, measured in self.by_memory.get("webhook", {}).items()
            if measured.p99 and measured.p99.median < _MAX_P99_MS and measured.peak_megabytes.median < size
        ]
        return min(fits, key=dollars.__getitem__, default=None)

    def targets(self) -> Iterator[Target]:
        """Yield the goals. Those that compare with the reference need its measurements."""
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


def _processor() -> str:
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as file:  # noqa: PTH123
            names = [line.partition(":")[2].strip() for line in file if line.startswith("model name")]
    except OSError:
        names = []
    return names[0] if names else platform.machine()
