"""`python -m tests.chaos`: try fault after fault, and print what became of the messages."""

import argparse
import asyncio
import logging
import math
import random
import secrets
import sys
import time
import traceback
from collections import Counter
from dataclasses import dataclass, replace
from pathlib import Path

from rich.console import Console

from local.serving.interruption import InterruptedBySignalError, until_interrupted
from local.stack.state_directory import StackRunningError
from tests.chaos.faults import SINGLE, Fault, NothingStruckError, one_after_another, together
from tests.chaos.report import Result, messages, table, topics_table, write_faults, write_soak
from tests.chaos.system import System
from tests.chaos.topic_verdicts import TopicVerdict, channels, judge_chat, judge_events, judge_votes
from tests.chaos.verdict import Verdict, courses, judge
from tests.chaos.witness import COMMENT, DeadLetter, Trial

ROOT = Path(__file__).parents[2]
DOCUMENT = ROOT / "docs" / "faults.md"
_SECONDS_TO_SETTLE = 300
# Longer than a killed relay's lease, or its longest pause.
_QUIET_SECONDS = 30
_AT_ONCE = 3
_FILE_WIDTH = 240
_SECONDS_BETWEEN_LINES_OF_PROGRESS = 60


@dataclass(frozen=True)
class Extent:
    """How much is tried: messages a second and for each trial, and for how many seconds a fault lasts."""

    rate: float
    messages: int
    seconds: float
    more_users: int = 0
    """Users with a browser, beside the five users that comment in each trial."""


FULL = Extent(rate=20, messages=150, seconds=5.5)
SHORT = Extent(rate=12, messages=30, seconds=2)
SOAK = Extent(rate=60, messages=5_000, seconds=8, more_users=15)
_TOGETHER_IN_FULL = 4


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
        """Judge every trial again. Return the results that have changed; there must be none."""
        changed = []
        for result in self.results:
            verdict, on_topics = await self._judge(result.trial, result.dead_letters)
            # That an event is sent again later is allowed, so that only the harm is compared.
            is_harm_the_same = [one.harm for one in on_topics] == [one.harm for one in result.on_topics]
            if verdict != result.verdict or not is_harm_the_same:
                changed.append(result)
        return changed

    async def _try(self, fault: Fault) -> Result:
        trial = self._system.witness.trial = Trial(fault.name)
        error = ""
        await self._system.open_poll(fault.name)
        try:
            async with self._system.load.during(fault.name, self._extent.messages):
                await asyncio.sleep(0.5)
                await fault.put_on(self._system, self._extent.seconds)
                await asyncio.sleep(0.5)
        except Exception as exception:  # noqa: BLE001 - the others are tried all the same
            error = _told(exception)
            await self._system.clear_faults()
        began = time.monotonic()
        verdict, on_topics, dead_letters = await self._settle(trial)
        return Result(fault, trial, verdict, on_topics, dead_letters, time.monotonic() - began, error)

    async def _settle(self, trial: Trial) -> tuple[Verdict, list[TopicVerdict], Counter[DeadLetter]]:
        """Wait until all messages are somewhere and none is on its way, or nothing happens any longer."""
        dead_letters: Counter[DeadLetter] = Counter()
        ends_at = time.monotonic() + _SECONDS_TO_SETTLE
        quiet_since, missing_before = time.monotonic(), [frozenset[str]()]
        while True:
            dead_letters += await self._system.take_dead_letters()
            is_empty = not await self._system.spilled()
            verdict, on_topics = await self._judge(trial, dead_letters)
            # A tally is wrong until the last vote has been counted.
            missing = [verdict.lost, *(one.lost | one.wrong for one in on_topics)]
            now = time.monotonic()
            if not is_empty or missing != missing_before:
                quiet_since, missing_before = now, missing
            is_settled = is_empty and not any(missing)
            if is_settled or now > ends_at or now - quiet_since > _QUIET_SECONDS:
                return verdict, on_topics, dead_letters
            await asyncio.sleep(0.5)

    async def _judge(
        self, trial: Trial, dead_letters: Counter[DeadLetter]
    ) -> tuple[Verdict, list[TopicVerdict]]:
        """Return what has become of the comments, and of the messages on each other topic."""
        system = self._system
        dead_comments = {one for topic, one in dead_letters if topic == COMMENT}
        return judge(trial, await system.lists(courses(trial.accepted)), dead_comments), [
            judge_votes(trial, await system.tally(trial.fault), dead_letters),
            judge_chat(trial, await system.lists(channels(trial)), dead_letters),
            judge_events(trial, await system.events(), dead_letters),
        ]

    async def _show_progress(self, what: str) -> None:
        """Show the progress until cancelled: continuously on a terminal, now and then in a file."""

        def present() -> str:
            trial = self._system.witness.trial
            so_far = f"{what}: {len(trial.accepted)} published, {len(trial.stored_at)} stored"
            return f"{so_far}, {trial.faults[-1]}" if len(trial.faults) > 1 else so_far

        if not self._console.is_terminal:
            while True:
                await asyncio.sleep(_SECONDS_BETWEEN_LINES_OF_PROGRESS)
                self._console.print(present(), soft_wrap=True)
        with self._console.status(what) as status:
            while True:
                status.update(present())
                await asyncio.sleep(0.25)

    def _show(self, result: Result) -> None:
        mark = "[green]✓[/]" if result.is_good else "[red]✗[/]"
        self._console.print(f"{mark} {result.line}", soft_wrap=True)
        for complaint in result.complaints:
            self._console.print(f"  {complaint}", style="red", markup=False, soft_wrap=True)


def _told(error: Exception) -> str:
    """Return what a fault has found, or the traceback of what it did not expect."""
    if isinstance(error, ExceptionGroup):
        return "\n".join(_told(part) for part in error.exceptions)
    if isinstance(error, (AssertionError, NothingStruckError)):
        return str(error)
    return "".join(traceback.format_exception(error))


async def try_faults(arguments: argparse.Namespace) -> int:
    """Run the suite; return the exit code."""
    console = Console(highlight=False, width=None if sys.stdout.isatty() else _FILE_WIDTH)
    extent, faults = _plan(arguments)
    console.print(f"Seed {arguments.seed}. Logs are in {arguments.state_dir}.", soft_wrap=True)
    async with System.running(arguments.state_dir, extent.rate, extent.more_users) as system:
        suite = Suite(system, extent, console)
        try:
            await suite.run(faults)
        finally:
            if suite.results:
                console.print(table(suite.results))
                console.print(f"{messages(suite.results):,} comments.")
                console.print(topics_table(suite.results))
        changed = await suite.judge_again()
    for result in changed:
        console.print(f"{result.fault.name}: its messages did not stay as they were.", style="red")
    is_good = not changed and all(result.is_good for result in suite.results)
    if is_good and arguments.soak:
        write_soak(DOCUMENT, suite.results, extent.rate)
    elif is_good and not arguments.short and not arguments.faults:
        write_faults(DOCUMENT, suite.results, extent.rate)
    return 0 if is_good else 1


def _plan(arguments: argparse.Namespace) -> tuple[Extent, list[Fault]]:
    """Return what is tried, and to what extent."""
    if arguments.soak:
        rounds = math.ceil(arguments.soak / SOAK.messages)
        messages_in_each = math.ceil(arguments.soak / rounds)
        return (
            replace(SOAK, messages=messages_in_each),
            [one_after_another(number, messages_in_each, _AT_ONCE) for number in range(1, rounds + 1)],
        )
    rounds_together = 1 if arguments.short else _TOGETHER_IN_FULL
    faults = [*SINGLE, *(together(number, _AT_ONCE) for number in range(1, rounds_together + 1))]
    if arguments.faults:
        faults = [fault for fault in faults if fault.name.rstrip("-0123456789") in arguments.faults]
    elif arguments.short:
        faults = [fault for fault in faults if fault.is_in_short]
    return SHORT if arguments.short else FULL, faults


def _count(text: str) -> int:
    """Return a number of messages. Raise ValueError if the text is not one."""
    count = int(text.replace(",", ""))
    if count < 1:
        raise ValueError(text)
    return count


def main() -> int:
    """Parse the command line, and run."""
    parser = argparse.ArgumentParser(prog="python -m tests.chaos", description=__doc__)
    parser.add_argument("faults", nargs="*", metavar="FAULT", help="only these (default: all)")
    parser.add_argument("--short", action="store_true", help="few messages, and only some of the faults")
    parser.add_argument(
        "--soak", type=_count, metavar="COUNT", help="so many messages, under faults in random order"
    )
    parser.add_argument("--seed", type=int, default=secrets.randbelow(10**6), help="of what is random")
    parser.add_argument(
        "--state-dir", type=Path, default=ROOT / ".local" / "chaos", help="where logs go", metavar="DIR"
    )
    arguments = parser.parse_args()
    if arguments.soak and (arguments.short or arguments.faults):
        parser.error("--soak takes its faults at random: it goes with neither --short nor names")
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
