"""`python -m tests.chaos`: tries fault after fault, and prints what became of the messages."""

import argparse
import asyncio
import logging
import random
import secrets
import sys
import time
import traceback
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console

from local.interruption import InterruptedBySignalError, until_interrupted
from local.state_directory import StackRunningError
from tests.chaos.faults import SINGLE, Fault, together
from tests.chaos.report import Result, document, messages, table
from tests.chaos.system import System
from tests.chaos.verdict import Verdict, courses, judge
from tests.chaos.witness import Trial

ROOT = Path(__file__).parents[2]
DOCUMENT = ROOT / "docs" / "faults.md"
_SECONDS_TO_SETTLE = 180
# Longer than a killed relay's lease, or its longest pause.
_QUIET_SECONDS = 30
_AT_ONCE = 3
_WIDTH_OF_FILES = 160


@dataclass(frozen=True)
class Extent:
    """How much is tried: messages a second and for each fault, and how often several faults at once."""

    rate: float
    messages: int
    rounds_together: int

    @property
    def seconds(self) -> float:
        """How long a fault lasts that can last as long as it likes."""
        return 0.75 * self.messages / self.rate


FULL = Extent(rate=20, messages=150, rounds_together=4)
SHORT = Extent(rate=12, messages=30, rounds_together=1)


class Suite:
    """Tries faults on one running system."""

    def __init__(self, system: System, extent: Extent, console: Console) -> None:
        self._system = system
        self._extent = extent
        self._console = console
        self.results: list[Result] = []

    async def run(self, faults: list[Fault]) -> None:
        """Try each fault, and show what came of it."""
        for number, fault in enumerate(faults, 1):
            progress = asyncio.create_task(self._show_progress(f"{number}/{len(faults)} {fault.name}"))
            try:
                result = await self._try(fault)
            finally:
                progress.cancel()
                await asyncio.wait([progress])
            self.results.append(result)
            self._show(result)

    async def judge_again(self) -> list[Result]:
        """Return those whose messages were stored well at first, and no longer are."""
        changed = []
        for result in self.results:
            lists = await self._system.lists(courses(result.trial.accepted))
            if result.verdict != judge(result.trial, lists, result.dead_letters):
                changed.append(result)
        return changed

    async def _try(self, fault: Fault) -> Result:
        trial = self._system.witness.trial = Trial(fault.name)
        error = ""
        try:
            async with self._system.load.during(fault.name, self._extent.messages):
                await asyncio.sleep(0.5)
                await fault.inflict(self._system, self._extent.seconds)
                await asyncio.sleep(0.5)
        except Exception:  # noqa: BLE001 - the others are tried all the same
            error = traceback.format_exc()
            await self._system.clear_faults()
        began = time.monotonic()
        verdict, dead_letters = await self._settle(trial)
        return Result(fault, trial, verdict, dead_letters, time.monotonic() - began, error)

    async def _settle(self, trial: Trial) -> tuple[Verdict, Counter[str]]:
        """Wait until all messages are somewhere and none is on its way, or nothing happens any longer."""
        dead_letters: Counter[str] = Counter()
        ends_at = time.monotonic() + _SECONDS_TO_SETTLE
        quiet_since, lost_before = time.monotonic(), frozenset[str]()
        while True:
            dead_letters += await self._system.take_dead_letters()
            is_empty = not await self._system.spilled()
            verdict = judge(trial, await self._system.lists(courses(trial.accepted)), dead_letters)
            now = time.monotonic()
            if not is_empty or verdict.lost != lost_before:
                quiet_since, lost_before = now, verdict.lost
            is_settled = is_empty and not verdict.lost
            if is_settled or now > ends_at or now - quiet_since > _QUIET_SECONDS:
                return verdict, dead_letters
            await asyncio.sleep(0.5)

    async def _show_progress(self, what: str) -> None:
        """Say on a terminal how far it is, until cancelled."""
        with self._console.status(what) as status:
            while True:
                trial = self._system.witness.trial
                status.update(f"{what}: {len(trial.accepted)} published, {len(trial.stored_at)} stored")
                await asyncio.sleep(0.25)

    def _show(self, result: Result) -> None:
        mark = "[green]✓[/]" if result.is_good else "[red]✗[/]"
        self._console.print(f"{mark} {result.line}", soft_wrap=True)
        for complaint in result.complaints:
            self._console.print(f"  {complaint}", style="red", markup=False, soft_wrap=True)


async def try_faults(arguments: argparse.Namespace) -> int:
    """Run the suite; return the exit code."""
    console = Console(highlight=False)
    if not console.is_terminal:
        console = Console(highlight=False, width=_WIDTH_OF_FILES)
    extent = SHORT if arguments.short else FULL
    faults = [fault for fault in SINGLE if not arguments.faults or fault.name in arguments.faults]
    if not arguments.faults or "together" in arguments.faults:
        faults += [together(number, _AT_ONCE) for number in range(1, extent.rounds_together + 1)]
    console.print(f"Seed {arguments.seed}. Logs are in {arguments.state_dir}.", soft_wrap=True)
    async with System.running(arguments.state_dir, extent.rate) as system:
        suite = Suite(system, extent, console)
        await suite.run(faults)
        changed = await suite.judge_again()
    console.print(table(suite.results))
    console.print(f"{messages(suite.results):,} messages.")
    for result in changed:
        console.print(f"{result.fault.name}: its messages did not stay as they were.", style="red")
    is_good = not changed and all(result.is_good for result in suite.results)
    if is_good and not arguments.short and not arguments.faults:
        DOCUMENT.write_text(document(suite.results, extent.rate), encoding="utf-8")
    return 0 if is_good else 1


def main() -> int:
    """Parse the command line, and run."""
    parser = argparse.ArgumentParser(prog="python -m tests.chaos", description=__doc__)
    parser.add_argument("faults", nargs="*", metavar="FAULT", help="only these (default: all)")
    parser.add_argument("--short", action="store_true", help="few messages, and no table in docs/faults.md")
    parser.add_argument("--seed", type=int, default=secrets.randbelow(10**6), help="of what is random")
    parser.add_argument(
        "--state-dir", type=Path, default=ROOT / ".local" / "chaos", help="where logs go", metavar="DIR"
    )
    arguments = parser.parse_args()
    names = [fault.name for fault in SINGLE] + ["together"]
    if unknown := sorted(set(arguments.faults) - set(names)):
        parser.error(f"no such fault: {' '.join(unknown)}; there are {' '.join(names)}")
    random.seed(arguments.seed)
    arguments.state_dir.mkdir(parents=True, exist_ok=True)
    logging.basicConfig(filename=arguments.state_dir / "chaos.log", filemode="w", level=logging.WARNING)
    try:
        return asyncio.run(until_interrupted(try_faults(arguments)))
    except InterruptedBySignalError as interruption:
        return interruption.exit_code
    except StackRunningError as error:
        print(error, file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main())
