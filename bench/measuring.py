"""Measures functions in turn, run by run, so that what disturbs the machine disturbs all alike."""

import math
import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Self

from bench.figures import Figure, quantile
from bench.processor_share import processor_share
from bench.subjects import Run, Subject

Step = Callable[[str], None]
"""Is told of each run before it begins."""


@dataclass(frozen=True, slots=True)
class Measured:
    """Figures of one subject, in milliseconds; those of warm invocations are of each run's quantile."""

    load: Figure
    first: Figure
    cold: Figure
    """Load plus first answer."""
    process: Figure
    """The same, and the start of Python or Node before it."""
    p50: Figure | None
    p99: Figure | None
    billed: float | None
    """Mean of what Lambda bills for a warm invocation, in whole milliseconds each."""
    cpu_cold: Figure
    cpu_warm: Figure | None
    peak_megabytes: Figure
    statuses: Mapping[str, int]

    @classmethod
    def of(cls, runs: Sequence[Run]) -> Self:
        """The figures of the runs of one subject."""
        warm = bool(runs[0].warm_ms)
        statuses: dict[str, int] = {}
        for run in runs:
            for status, count in run.statuses.items():
                statuses[status] = statuses.get(status, 0) + count
        return cls(
            load=Figure.of([run.load_ms for run in runs]),
            first=Figure.of([run.first_ms for run in runs]),
            cold=Figure.of([run.cold_ms for run in runs]),
            process=Figure.of([run.process_ms for run in runs]),
            p50=Figure.of([quantile(run.warm_ms, 0.5) for run in runs]) if warm else None,
            p99=Figure.of([quantile(run.warm_ms, 0.99) for run in runs]) if warm else None,
            billed=statistics.mean(math.ceil(one) for run in runs for one in run.warm_ms) if warm else None,
            cpu_cold=Figure.of([run.cpu_load_ms + run.cpu_first_ms for run in runs]),
            cpu_warm=Figure.of([run.cpu_warm_ms for run in runs]) if warm else None,
            peak_megabytes=Figure.of([run.peak_memory_bytes / 1e6 for run in runs]),
            statuses=statuses,
        )


def measure(subjects: Sequence[Subject], runs: int, warm: int, step: Step) -> dict[str, Measured]:
    """Run each subject `runs` times, in turn, with `warm` invocations after the first; figures by name.

    A run before all others, which fills the system's file cache, does not count. Raises `MeasuringError`.
    """
    measured: dict[str, list[Run]] = {subject.name: [] for subject in subjects}
    for number in range(runs + 1):
        for subject in subjects:
            step(subject.name)
            run = subject.run(0 if number == 0 or subject.cold_only else warm)
            if number:
                measured[subject.name].append(run)
    return {name: Measured.of(runs_of) for name, runs_of in measured.items()}


def measure_by_memory(
    subjects: Sequence[Subject], megabytes: Sequence[int], warm: int, step: Step
) -> dict[str, dict[int, Measured]]:
    """Run each subject once with the share of a processor that each memory size gives.

    Figures by name and size. Empty where this machine does not allow a share to be set.
    """
    measured: dict[str, dict[int, Measured]] = {subject.name: {} for subject in subjects}
    for size in megabytes:
        with processor_share(size) as within:
            if within is None:
                return {}
            for subject in subjects:
                step(f"{subject.name}, {size} MB")
                measured[subject.name][size] = Measured.of([subject.run(warm, within)])
    return measured
