"""Plots of the results, as SVG."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, NullFormatter

from bench.loop import Outcome
from bench.measurements import Measured

_OURS, _REFERENCE, _SPREAD = "#2563eb", "#9ca3af", "#374151"
# Text stays text, and equal figures give equal files.
_STYLE: dict[Any, object] = {
    "svg.fonttype": "none",
    "svg.hashsalt": "bench",
    "axes.spines.top": False,
    "axes.spines.right": False,
}


@mpl.rc_context(_STYLE)
def plot_cold_starts(measured: Mapping[str, Measured], file: Path) -> None:
    """Plot a bar for each subject: process start, load and first answer."""
    figure, axes = _figure(8, 0.45 * len(measured) + 1)
    # A cold start is the same for every user.
    names = [name for name in measured if name != "token vendor, same user"][::-1]
    loads = [measured[name].load.median for name in names]
    firsts = [measured[name].first.median for name in names]
    wholes = [measured[name].process for name in names]
    starts = [whole.median - load - first for whole, load, first in zip(wholes, loads, firsts, strict=True)]
    spreads = [
        [max(0.0, whole.median - whole.low) for whole in wholes],
        [max(0.0, whole.high - whole.median) for whole in wholes],
    ]
    colors = [_color(name) for name in names]
    axes.barh(names, starts, color=colors, alpha=0.25)
    axes.barh(names, loads, left=starts, color=colors)
    loaded = [start + load for start, load in zip(starts, loads, strict=True)]
    axes.barh(names, firsts, left=loaded, color=colors, alpha=0.5)
    axes.errorbar([whole.median for whole in wholes], names, xerr=spreads, fmt="none", color=_SPREAD)
    axes.set_xlabel("ms in a fresh process: its start (pale), load (dark), first answer (light)")
    _save(figure, file)


@mpl.rc_context(_STYLE)
def plot_warm(measured: Mapping[str, Measured], file: Path) -> None:
    """Plot a bar for each subject: p50, with p99 as a mark."""
    warm = {name: one for name, one in measured.items() if one.p50 and one.p99}
    figure, axes = _figure(8, 0.45 * len(warm) + 1)
    names = list(warm)[::-1]
    axes.barh(
        names,
        [one.p50.median for one in map(warm.__getitem__, names) if one.p50],
        color=list(map(_color, names)),
    )
    axes.plot(
        [one.p99.median for one in map(warm.__getitem__, names) if one.p99],
        names,
        "|",
        color=_SPREAD,
        ms=14,
    )
    axes.set_xscale("log")
    _plain_numbers(axes)
    axes.set_xlabel("ms for a warm invocation: p50 (bar), p99 (line)")
    _save(figure, file)


@mpl.rc_context(_STYLE)
def plot_loop(outcomes: Mapping[str, Sequence[Outcome]], file: Path) -> None:
    """Plot the throughput by publish rate, and the latency by publish rate, users and list length."""
    figure = Figure(figsize=(10, 6), layout="constrained")
    throughput, *latencies = figure.subplots(2, 2).flat
    by_relay, by_momento = outcomes["publishers"], outcomes["publishers, without the relay"]
    for grown, style, label in (
        (by_relay, "o-", "stored"),
        (by_momento, "o--", "stored, without the relay"),
    ):
        rates = [outcome.load.rate for outcome in grown]
        throughput.plot(
            rates, [outcome.stored_per_second for outcome in grown], style, color=_OURS, label=label
        )
    rates = sorted({outcome.load.rate for outcome in (*by_relay, *by_momento)})
    throughput.plot(rates, rates, ":", color=_REFERENCE, label="published")
    throughput.set(
        xscale="log", yscale="log", xlabel="messages published a second", ylabel="messages a second"
    )
    throughput.legend(frameon=False)
    _plain_numbers(throughput)
    for axes, (label, values) in zip(
        latencies,
        {
            "messages published a second": [(one.load.rate, one) for one in by_relay],
            "users": [(one.load.users, one) for one in outcomes["users"]],
            "entries in each list": [(one.load.list_length, one) for one in outcomes["list length"]],
        }.items(),
        strict=True,
    ):
        x_values = [max(1, value) for value, _ in values]  # A logarithmic axis has no 0.
        axes.plot(x_values, [one.p50_ms for _, one in values], "o-", color=_OURS, label="p50")
        axes.plot(x_values, [one.p99_ms for _, one in values], "o--", color=_OURS, alpha=0.6, label="p99")
        axes.set(xscale="log", yscale="log", xlabel=label, ylabel="ms from publish to stored")
        axes.legend(frameon=False)
        _plain_numbers(axes)
    _save(figure, file)


@mpl.rc_context(_STYLE)
def plot_cost(dollars: Mapping[str, Mapping[int, float]], file: Path) -> None:
    """Plot the dollars per million messages by memory size, with a line for each subject."""
    figure, axes = _figure(8, 3.5)
    for name, by_size in dollars.items():
        style = "o--" if name.startswith("reference") else "o-"
        axes.plot(list(by_size), list(by_size.values()), style, color=_color(name), label=name)
    axes.set(xlabel="memory, MB", ylabel="Lambda, $ per million")
    axes.set_ylim(bottom=0)
    axes.legend(frameon=False)
    _save(figure, file)


def _figure(width: float, height: float) -> tuple[Figure, Axes]:
    figure = Figure(figsize=(width, height), layout="constrained")
    return figure, figure.subplots()


def _plain_numbers(axes: Axes) -> None:
    for axis in (axes.xaxis, axes.yaxis):
        if axis.get_scale() == "log":
            axis.set_major_locator(LogLocator(subs=(1, 2, 5)))
            axis.set_major_formatter("{x:g}")
            axis.set_minor_formatter(NullFormatter())


def _color(name: str) -> str:
    return _REFERENCE if name.startswith("reference") else _OURS


def _save(figure: Figure, file: Path) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(file, metadata={"Date": None})
