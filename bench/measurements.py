"""Measure functions in alternating runs, so that a disturbance of the machine affects all of them."""

import math
import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Self

from bench.figures import Figure, quantile
from bench.processor_share import processor_share
from bench.subjects import Run, Subject

Step = Callable[[str], None]
"""Called with the name of each run before it begins."""


@dataclass(frozen=True, slots=True)
class Measured:
    """The figures of one subject, in milliseconds. `p50` and `p99` are of each run's quantile."""

    load: Figure
    first: Figure
    cold: Figure
    """Load plus first answer."""
    process: Figure
    """From the start of the Python or Node process to the first answer."""
    p50: Figure | None
    p99: Figure | None
    billed: float | None
    """The mean time that Lambda bills for a warm invocation: it rounds each up to a millisecond."""
    cpu_cold: Figure
    cpu_warm: Figure | None
    peak_megabytes: Figure
    statuses: Mapping[str, int]

    @classmethod
    def of(cls, runs: Sequence[Run]) -> Self:
        """Return the figures of the runs of one subject."""
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
    """Run each subject `runs` times, with `warm` invocations after the first, and return the figures by name.

    An additional first run fills the system's file cache and is not measured. Raise `MeasurementError`.
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
    """Run each subject once with the processor share of each memory size. Return figures by name and size.

    Return an empty dictionary if this machine does not support processor shares.
    """
    measured: dict[str, dict[int, Measured]] = {subject.name: {} for subject in subjects}
    for size in megabytes:
        with processor_share(size) as prefix:
            if prefix is None:
                return {}
            for subject in subjects:
                step(f"{subject.name}, {size} MB")
                measured[subject.name][size] = Measured.of([subject.run(warm, prefix)])
    return measured
