"""Tables of the results, for the terminal and for docs/performance.md."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from rich.console import Console
from rich.table import Table

from bench.loop import Outcome, bottleneck
from bench.relay_alone import load_rows, memory_rows
from bench.results import Results

Rows = Sequence[Sequence[str]]
"""The first row is the heading."""


def tables(results: Results) -> dict[str, Rows]:
    """Return all tables, by the name of their place in the document."""
    return {
        "targets": list(_targets(results)),
        "functions": list(_functions(results)),
        "load parts": list(_load_parts(results)),
        "cost": list(_cost(results)),
        "relay": load_rows(results.relay),
        "relay by memory": memory_rows(results.relay_by_memory, results.architecture),
        **{f"loop by {grown}": list(_loop(outcomes)) for grown, outcomes in results.loop.items()},
    }


def show(results: Results, console: Console) -> None:
    """Print all tables."""
    for name, (heading, *rows) in tables(results).items():
        table = Table(title=name, title_justify="left")
        for column in heading:
            table.add_column(column, justify="left" if column == heading[0] else "right")
        for row in rows:
            table.add_row(*row)
        console.print(table)
    for grown in results.loop:
        console.print(f"By {grown}: {_saturation(results.loop[grown])}")


def write(results: Results, document: Path) -> None:
    """Replace the content between the document's `<!-- name -->` and `<!-- end -->` comments."""
    text = document.read_text(encoding="utf-8")
    parts = {name: _markdown(rows) for name, rows in tables(results).items()}
    parts["circumstances"] = _circumstances(results)
    for grown, outcomes in results.loop.items():
        parts[f"saturation by {grown}"] = _saturation(outcomes)
    for name, content in parts.items():
        text = _with_content(text, name, content)
    document.write_text(text, encoding="utf-8")


def _with_content(text: str, name: str, content: str) -> str:
    begin = f"<!-- {name} -->"
    if begin not in text:
        return text
    before, _, rest = text.partition(begin)
    _, end, after = rest.partition("<!-- end -->")
    return f"{before}{begin}\n{content}\n{end}{after}"


def _targets(results: Results) -> Iterator[Sequence[str]]:
    yield "", "measured", "at most", "ratio", "met"
    for target in results.targets():
        yield (
            target.name,
            f"{target.measured:.2f} {target.unit}",
            f"{target.limit:.2f} {target.unit}",
            f"{target.measured / target.limit:.2f}",
            "yes" if target.met else "**no**",
        )


def _functions(results: Results) -> Iterator[Sequence[str]]:
    yield (
        "",
        "load, ms",
        "first, ms",
        "load + first, ms",
        "from process start, ms",
        "p50, ms",
        "p99, ms",
        "peak memory, MB",
        "answers",
    )
    for name, one in results.functions.items():
        yield (
            name,
            str(one.load),
            str(one.first),
            str(one.cold),
            str(one.process),
            str(one.p50 or ""),
            str(one.p99 or ""),
            f"{one.peak_megabytes.median:.0f}",
            ", ".join(one.statuses),
        )


def _load_parts(results: Results) -> Iterator[Sequence[str]]:
    yield "", *(f"{name}, ms" for name in results.load_parts)
    for part in next(iter(results.load_parts.values())):
        yield part, *(f"{parts[part]:.0f}" for parts in results.load_parts.values())


def _cost(results: Results) -> Iterator[Sequence[str]]:
    dollars = results.dollars()
    yield "memory, MB", *(f"{name}: {what}" for name in dollars for what in ("p99, ms", "$ per million"))
    for size in next(iter(results.by_memory.values()), {}):
        yield str(size), *(cell for name in dollars for cell in _cost_cells(results, dollars, name, size))


def _cost_cells(
    results: Results, dollars: Mapping[str, Mapping[int, float]], name: str, size: int
) -> tuple[str, str]:
    p99 = results.by_memory[name][size].p99
    return f"{p99.median:.0f}" if p99 else "", f"{dollars[name][size]:.2f}"


def _loop(outcomes: Sequence[Outcome]) -> Iterator[Sequence[str]]:
    yield (
        "messages a second",
        "users",
        "list length",
        "published",
        "stored",
        "stored a second",
        "p50, ms",
        "p99, ms",
    )
    for one in outcomes:
        yield (
            str(one.load.rate),
            str(one.load.users),
            str(one.load.list_length),
            str(one.published),
            str(one.stored),
            f"{one.stored_per_second:.0f}",
            f"{one.p50_ms:.0f}",
            f"{one.p99_ms:.0f}",
        )


def _saturation(outcomes: Sequence[Outcome]) -> str:
    saturated = [outcome for outcome in outcomes if outcome.saturated]
    if not saturated:
        return "The system kept up."
    first = saturated[0]
    return f"At {first.load.rate} messages a second it did not keep up: {bottleneck(first)}."


def _circumstances(results: Results) -> str:
    megabytes, zipped = results.package_bytes / 1e6, results.package_zipped_bytes / 1e6
    sentences = [
        f"Measured {results.measured_at} on {results.machine}, Python {results.python}.",
        f"The package has {megabytes:.1f} MB, {zipped:.1f} MB zipped.",
    ]
    if cheapest := results.cheapest_memory():
        sentences.append(f"The cheapest size at which the webhook is fast enough is {cheapest} MB.")
    return " ".join(sentences)


def _markdown(rows: Rows) -> str:
    heading, *others = rows
    lines = [heading, ["---"] + ["---:"] * (len(heading) - 1), *others]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)
