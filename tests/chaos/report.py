"""What came of the faults, for who reads along and for docs/faults.md."""

import os
import platform
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from rich.table import Table

from tests.chaos.faults import Fault
from tests.chaos.verdict import Verdict
from tests.chaos.witness import Trial


@dataclass(frozen=True)
class Result:
    """What came of a fault; `error` where it could not even be tried to its end."""

    fault: Fault
    trial: Trial
    verdict: Verdict
    dead_letters: Counter[str]
    seconds_to_settle: float
    error: str = ""

    @property
    def is_good(self) -> bool:
        """Whether the fault did no harm."""
        return self.verdict.is_good and not self.error

    @property
    def cells(self) -> list[str]:
        """The row of the table."""
        verdict, trial = self.verdict, self.trial
        return [
            self.fault.name,
            str(len(trial.accepted)),
            str(trial.unacknowledged),
            str(len(verdict.stored)),
            str(len(verdict.dead)),
            str(len(verdict.lost)),
            str(len(verdict.doubled)),
            str(len(verdict.wrong)),
            str(trial.counts["WebhookStatus202"]),
            str(trial.counts["MessagesFoundWritten"]),
            str(trial.counts["RelayFunction: not delivered yet"]),
            f"{trial.longest_delay:.1f}",
            f"{self.seconds_to_settle:.1f}",
        ]

    @property
    def line(self) -> str:
        """The same in a line, without what is 0."""
        name, *figures = self.cells
        named = zip(_COLUMNS[1:], figures, strict=True)
        return f"{name:<26}" + ", ".join(f"{title.lower()} {value}" for title, value in named if value != "0")

    @property
    def complaints(self) -> list[str]:
        """What is wrong, and where the first of those messages were seen."""
        verdict = self.verdict
        bad = {"lost": verdict.lost, "doubled": verdict.doubled, "wrong": verdict.wrong}
        found = [
            f"{kind}: {self._seen(one)}" for kind, ids in bad.items() for one in sorted(ids)[:_COMPLAINTS]
        ]
        return [self.error, *found] if self.error else found

    def _seen(self, one: str) -> str:
        message = self.trial.accepted.get(one)
        return (
            f"{one} {message and (message.publisher_id, message.value)}: "
            f"webhook answered {self.trial.answers.get(one, [])}, "
            f"said to be stored: {one in self.trial.stored_at}, dead letters: {self.dead_letters[one]}"
        )


_COMPLAINTS = 10
_COLUMNS = (
    "Fault",
    "Published",
    "Not confirmed",
    "Stored once",
    "Dead letters",
    "Lost",
    "Doubled",
    "Wrong",
    "Spilled",
    "Found by id",
    "Relay's retries",
    "Longest delay (s)",
    "Settled after (s)",
)


def table(results: Sequence[Result]) -> Table:
    """Return all rows, and their sums."""
    shown = Table(title="Faults", title_justify="left", title_style="bold")
    for index, name in enumerate(_COLUMNS):
        shown.add_column(name, justify="right" if index else "left", no_wrap=not index)
    for result in results:
        shown.add_row(*result.cells, style="" if result.is_good else "bold red")
    return shown


def messages(results: Sequence[Result]) -> int:
    """Return how many messages were published in all."""
    return sum(len(result.trial.accepted) for result in results)


def document(results: Sequence[Result], rate: float) -> str:
    """Return the table as docs/faults.md has it."""
    rows = [_COLUMNS, ["---", *["---:"] * (len(_COLUMNS) - 1)], *(result.cells for result in results)]
    return _DOCUMENT.format(
        messages=f"{messages(results):,}",
        rate=rate,
        cores=os.cpu_count(),
        python=platform.python_version(),
        table="\n".join(f"| {' | '.join(row)} |" for row in rows),
        faults="\n".join(f"- `{result.fault.name}`: {result.fault.what}." for result in results),
    )


_DOCUMENT = """\
# What faults do to messages

Written by `make chaos`, on {cores} cores with Python {python}: {messages} messages, {rate:g} a second, from
five users, two in browsers with tokens of their own, three through the publisher. All of it ran on the local
stack, where the relay calls the webhook. Each fault was put on and taken off while the users went on. Then
every message that Momento had put on the topic was looked for: it has to be in its list once, under who
published it, or in the dead-letter queue.

{table}

- **Published**: put on the topic by Momento. **Not confirmed**: calls whose publishers were told that they
  failed, or nothing; the message may be on the topic or not.
- **Lost**, **Doubled**, **Wrong**: neither stored nor kept; in the list twice; under another user, or
  changed. Any of them fails the run.
- **Spilled**: requests that the webhook answered with 202, having kept the message in the spill queue.
- **Found by id**: messages that an earlier attempt had written without being able to say so.
- **Relay's retries**: requests that the relay had to repeat.
- **Longest delay**: from publishing to storing. **Settled after**: from the end of the load until all was
  stored.

The faults:

{faults}

Momento's API key is not rotated here: the local Momento has one for all its life.

```sh
make chaos                                  # all of it, and writes this page
make chaos SHORT=1                          # fewer messages, as in CI; writes nothing
make chaos FAULTS="relay-killed copies"     # only some
```
"""
