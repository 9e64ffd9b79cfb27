"""Measure the functions and the loop, and the reference if it is given: `make bench`."""

import argparse
import asyncio
import dataclasses
import json
import signal
import sys
from pathlib import Path

import boto3
import psutil
from rich.console import Console
from rich.progress import Progress

from bench import plots, report
from bench.cost import MEMORY_SIZES
from bench.load_parts import load_parts
from bench.loop import LoadGenerator, Outcome, grow, grow_publishers
from bench.measurements import Step, measure, measure_by_memory
from bench.package import BuildError, Package, RuntimeVersionError, build_package
from bench.relay_alone import RELAY_RATE, RelayError, measure_load
from bench.relay_alone import measure_by_memory as measure_relay_by_memory
from bench.results import Results
from bench.stack import ROOT, RunningStack, StackError, local_momento, local_stack
from bench.subjects import (
    REFERENCE_API_KEY_SECRET,
    REFERENCE_SIGNING_SECRET,
    MeasurementError,
    Subject,
    our_functions,
    reference_functions,
)
from local.aws.credentials import LOCAL_CREDENTIALS
from local.cloudformation.template import REGION
from local.stack.local_stack import MOMENTO_WEBHOOK
from local.stack.sam_profile import host_architecture

_STATE = ROOT / ".local/bench"
_RESULTS = _STATE / "results.json"
_DOCUMENT = ROOT / "docs/performance.md"
_PLOTS = ROOT / "docs/performance"
# The benchmark reads from the lists what was stored, so they must keep every entry.
_LONG_LISTS = {"CommentListLength": "200"}


def main() -> int:
    """Measure, print tables, and write results and plots; return the exit code."""
    arguments = _parser().parse_args()
    console = Console(width=None if sys.stdout.isatty() else 160)
    try:
        results = _measure(arguments.reference, arguments.runtime, console, quick=arguments.quick)
    except (BuildError, MeasurementError, RelayError, RuntimeVersionError, StackError) as error:
        console.print(str(error), style="red", markup=False)
        return 1
    except KeyboardInterrupt:
        return 128 + signal.SIGINT
    _RESULTS.write_text(json.dumps(dataclasses.asdict(results), indent=1) + "\n")
    report.show(results, console)
    console.print(f"All figures: {_RESULTS}")
    if not arguments.quick:
        _draw(results)
        report.write(results, _DOCUMENT)
        console.print(f"Plots and tables: {_DOCUMENT}")
    return 0


def _measure(reference: Path | None, runtime: str | None, console: Console, *, quick: bool) -> Results:
    with Progress(console=console) as progress:
        task = progress.add_task("build the package", total=None)

        def step(what: str) -> None:
            progress.update(task, description=what, advance=1)

        package = build_package(_STATE, runtime)
        with (
            local_stack(_STATE / "stack", _LONG_LISTS) as stack,
            local_momento(
                stack.facts["momento"]["api_key"], stack.facts["cache"], _STATE / "momento.log"
            ) as momento,
        ):
            ours = our_functions(package, stack.function_environments(), stack.facts, momento)
            theirs = {}
            if reference:
                _create_secrets(stack)
                theirs = reference_functions(reference, stack.facts, momento)
            runs, warm = (1, 10) if quick else (15, 200)
            subjects = _subjects(package, ours, theirs)
            by_memory = [ours["webhook"], *([theirs["webhook"]] if theirs else [])]
            sizes = MEMORY_SIZES[2:3] if quick else MEMORY_SIZES
            progress.update(task, total=(runs + 1) * len(subjects) + len(sizes) * len(by_memory) + 29)
            functions = measure(subjects, runs, warm, step)
            step("load time by part")
            parts = load_parts([ours[name] for name in ("webhook", "publisher", "token vendor")])
            measured_by_memory = measure_by_memory(by_memory, sizes, 10 if quick else 200, step)
            loop = asyncio.run(_loop(stack, step, quick=quick))
        step("the relay alone")
        relay = measure_load(1 if quick else 15)
        step("the relay alone, by memory")
        relay_by_memory = measure_relay_by_memory(RELAY_RATE, 1 if quick else 15, sizes)
        with local_stack(_STATE / "stack", {**_LONG_LISTS, "MessageSource": MOMENTO_WEBHOOK}) as stack:
            loop["publishers, without the relay"] = asyncio.run(_loop_of_publishers(stack, step, quick=quick))
        return Results(
            python=package.version,
            architecture=host_architecture(),
            package_bytes=package.unzipped,
            package_zipped_bytes=package.zipped,
            functions=functions,
            load_parts=parts,
            by_memory=measured_by_memory,
            loop=loop,
            relay=relay,
            relay_by_memory=relay_by_memory,
        )


def _subjects(package: Package, ours: dict[str, Subject], theirs: dict[str, Subject]) -> list[Subject]:
    """Return the functions to measure: ours, the reference's, and variants of our webhook."""
    webhook = ours["webhook"]
    without_bytecode = webhook.with_environment(
        "webhook without bytecode",
        PYTHONPATH=":".join(map(str, package.path_without_bytecode)),
        PYTHONDONTWRITEBYTECODE="1",
    )
    return [
        webhook,
        *([theirs["webhook"]] if theirs else []),
        webhook.with_environment("webhook without idempotency", BENCH_WITHOUT_RECORDS="true"),
        dataclasses.replace(without_bytecode, cold_only=True),
        ours["publisher"],
        *([theirs["publisher"]] if theirs else []),
        ours["token vendor"],
        ours["token vendor, same user"],
    ]


async def _loop(stack: RunningStack, step: Step, *, quick: bool) -> dict[str, list[Outcome]]:
    async with _load_generator(stack).connected() as generator:
        return await grow(generator, quick=quick, step=step)


async def _loop_of_publishers(stack: RunningStack, step: Step, *, quick: bool) -> list[Outcome]:
    async with _load_generator(stack).connected() as generator:
        return await grow_publishers(generator, quick=quick, step=step)


def _load_generator(stack: RunningStack) -> LoadGenerator:
    return LoadGenerator(stack.facts, stack.state_directory, psutil.Process(stack.process_id))


def _create_secrets(stack: RunningStack) -> None:
    """Create the secrets that the reference reads: an API key (legacy or v1) and the signing secret."""
    secrets_manager = boto3.client(
        "secretsmanager",
        endpoint_url=stack.facts["aws_endpoint_url"],
        region_name=REGION,
        aws_access_key_id=LOCAL_CREDENTIALS.access_key_id,
        aws_secret_access_key=LOCAL_CREDENTIALS.secret_access_key,
    )
    for name, value in {
        REFERENCE_API_KEY_SECRET: stack.facts["momento"]["api_key"],
        REFERENCE_SIGNING_SECRET: stack.facts["signing_secret"],
    }.items():
        secrets_manager.create_secret(Name=name, SecretString=value)


def _draw(results: Results) -> None:
    plots.plot_cold_starts(results.functions, _PLOTS / "cold_start.svg")
    plots.plot_warm(results.functions, _PLOTS / "warm.svg")
    plots.plot_loop(results.loop, _PLOTS / "loop.svg")
    plots.plot_cost(results.dollars(), _PLOTS / "cost.svg")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument(
        "--reference",
        type=Path,
        metavar="DIR",
        help="folder with the reference's webhook.js and publisher.js",
    )
    parser.add_argument(
        "--runtime",
        metavar="PYTHON",
        help="the Python that runs the functions (default: an installed one of Lambda's version)",
    )
    parser.add_argument("--quick", action="store_true", help="few runs, to see that the benchmarks work")
    return parser


if __name__ == "__main__":
    sys.exit(main())
