"""What the benchmarks make of their measurements: figures, verdicts, tables and plots."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

from bench import plots, report
from bench.cost import lambda_dollars_per_million, lambda_dollars_per_month
from bench.figures import Figure, quantile
from bench.loop import Load, Outcome
from bench.measurements import Measured
from bench.relay_alone import RelayOutcome
from bench.results import Results
from bench.subjects import Run
from tests.support.project import ROOT

DOCUMENT = ROOT / "docs/performance.md"


def run(load: float = 100, first: float = 50, warm: float = 2) -> Run:
    return Run(load, first, load + first + 20, (warm,) * 10, load, first, warm, 80_000_000, {"200": 11})


def measured(load: float = 100, first: float = 50, warm: float = 2) -> Measured:
    return Measured.of([run(load, first, warm)] * 3)


def outcome(
    publishers: int,
    stored_per_second: float,
    *,
    users: int = 10,
    list_length: int = 0,
    by_relay: bool = True,
) -> Outcome:
    load = Load(publishers, users, list_length)
    return Outcome(
        load,
        100,
        100,
        stored_per_second,
        20.0,
        40.0,
        {"functions": 0.7, "Momento": 0.2},
        0.0,
        0.9 * users,
        by_relay,
    )


@pytest.fixture
def results() -> Results:
    """Return results. By default, ours are as fast as the reference, which is too slow for some goals."""
    return Results(
        python="3.13.0 (GCC 14)",
        architecture="x86_64",
        package_bytes=30_000_000,
        package_zipped_bytes=10_000_000,
        functions={
            "webhook": measured(warm=9),
            "reference webhook": measured(),
            "webhook without idempotency": measured(warm=1),
            "publisher": measured(load=201),
            "reference publisher": measured(load=200),
            "token vendor": measured(first=126),
            "token vendor, same user": measured(warm=0.1),
        },
        load_parts={
            "webhook": {"gRPC": 30.0, "Powertools": 15.0},
            "publisher": {"gRPC": 31.0, "Powertools": 14.0},
        },
        by_memory={
            "webhook": {128: measured(warm=600), 256: measured(warm=100), 512: measured(warm=90)},
            "reference webhook": {128: measured(), 256: measured(), 512: measured()},
        },
        loop={
            "publishers": [outcome(1, 5), outcome(2, 10), outcome(4, 15)],
            "users": [outcome(1, 5, users=1), outcome(1, 5, users=100)],
            "list length": [outcome(1, 5), outcome(1, 5, list_length=100)],
            "publishers, without the relay": [outcome(1, 5, by_relay=False), outcome(2, 5, by_relay=False)],
        },
        relay=[RelayOutcome("one publisher", 1, 400, 38.0, 5000.0, 9000.0, 9000.0, 1.5, 80.0)],
        relay_by_memory={256: RelayOutcome("256 MB", 64, 1000, 99.6, 30.0, 45.0, 45.0, 1.2, 80.0)},
    )


def test_a_figure_is_the_median_with_its_quartiles() -> None:
    assert Figure.of([5, 1, 3, 2, 4]) == Figure(3, 2, 4, runs=5)
    assert Figure.of([7]) == Figure(7, 7, 7, runs=1)
    assert str(Figure(123.4, 99.6, 200, runs=5)) == "123 (100 to 200)"


def test_a_quantile_is_one_of_the_values() -> None:
    assert quantile([3, 1, 2], 0.5) == 2
    assert quantile(list(range(100)), 0.99) == 99


def test_a_cost_is_of_the_requests_and_of_memory_by_time() -> None:
    assert lambda_dollars_per_million(1000, 1024, "x86_64") == pytest.approx(0.20 + 16.6667)


def test_a_function_that_runs_all_the_time_costs_its_memory_for_a_month() -> None:
    assert lambda_dollars_per_month(1024, "x86_64") == pytest.approx(2_592_000 * 0.0000166667)


def test_each_goal_is_met_or_not(results: Results) -> None:
    assert {target.name: target.met for target in results.targets()} == {
        "webhook: cold start": True,
        "webhook: cold start, from the start of the process": True,
        "webhook: restored": True,
        "publisher: cold start": False,
        "publisher: cold start, from the start of the process": False,
        "publisher: restored": True,
        "token vendor: cold start": True,
        "token vendor: cold start, from the start of the process": True,
        "token vendor: restored": False,
        "webhook without idempotency: p50": True,
        "publisher: p50": False,
        "token vendor, same user: p50": True,
    }


def test_without_a_reference_only_our_own_goal_is_judged(results: Results) -> None:
    ours = {name: one for name, one in results.functions.items() if not name.startswith("reference")}
    [target] = replace(results, functions=ours).targets()
    assert target.name == "token vendor, same user: p50"


def test_the_cheapest_memory_is_fast_enough(results: Results) -> None:
    assert results.cheapest_memory() == 256
    assert replace(results, by_memory={}).cheapest_memory() is None


def test_the_document_gets_all_tables_and_keeps_its_text(results: Results, tmp_path: Path) -> None:
    document = tmp_path / "performance.md"
    document.write_text(DOCUMENT.read_text())
    report.write(results, document)
    once = document.read_text()
    report.write(results, document)
    assert document.read_text() == once
    assert text_of(once) == text_of(DOCUMENT.read_text())
    for name, rows in report.tables(results).items():
        assert f"<!-- {name} -->" in once
        for row in rows:
            assert f"| {' | '.join(row)} |" in once
    assert "At 20 messages a second it did not keep up: the relay was at its limit" in once
    assert "At 10 messages a second it did not keep up: neither the machine nor the relay" in once
    assert "The cheapest size at which the webhook is fast enough is 256 MB" in once


def test_the_document_has_all_that_it_has_marks_for() -> None:
    parts = re.findall(r"<!-- (?!end)([^>]*) -->\n(.*?)<!-- end -->", DOCUMENT.read_text(), flags=re.DOTALL)
    assert len(parts) > 5
    assert [name for name, content in parts if not content] == []


def text_of(document: str) -> str:
    """Return the text outside the marks."""
    return re.sub(r"(<!-- (?!end)[^>]*-->).*?(?=<!-- end -->)", r"\1", document, flags=re.DOTALL)


def test_plots_are_the_same_for_the_same_figures(results: Results, tmp_path: Path) -> None:
    for number in ("1", "2"):
        plots.plot_cold_starts(results.functions, tmp_path / number / "cold_start.svg")
        plots.plot_warm(results.functions, tmp_path / number / "warm.svg")
        plots.plot_loop(results.loop, tmp_path / number / "loop.svg")
        plots.plot_cost(results.dollars(), tmp_path / number / "cost.svg")
    for file in (tmp_path / "1").iterdir():
        assert file.read_bytes() == (tmp_path / "2" / file.name).read_bytes()
        assert "webhook" in file.read_text() or file.name == "loop.svg"
        ET.parse(file)  # noqa: S314 - it is our own
