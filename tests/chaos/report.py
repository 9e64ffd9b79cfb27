"""What came of the faults, for the terminal and for docs/faults.md."""

import os
import platform
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from rich.table import Table

from tests.chaos.faults import Fault
from tests.chaos.topic_verdicts import TopicVerdict
from tests.chaos.verdict import Verdict
from tests.chaos.witness import CHAT, COMMENT, EVENT, POLL, DeadLetter, Trial


@dataclass(frozen=True)
class Result:
    """The result of a fault. `error` says why it could not be tried to its end."""

    fault: Fault
    trial: Trial
    verdict: Verdict
    on_topics: list[TopicVerdict]
    """What became of the messages on topics other than comments."""
    dead_letters: Counter[DeadLetter]
    seconds_to_settle: float
    error: str = ""

    @property
    def is_good(self) -> bool:
        """Return whether the fault did no harm."""
        return self.verdict.is_good and all(one.is_good for one in self.on_topics) and not self.error

    @property
    def cells(self) -> list[str]:
        """Return the row of the table."""
        verdict, trial = self.verdict, self.trial
        return [
            self.fault.name,
            str(len(verdict.published)),
            str(trial.unacknowledged),
            str(verdict.repeated),
            str(len(verdict.stored)),
            str(len(verdict.dead)),
            *(str(len(harmed)) for harmed in verdict.harm.values()),
            str(trial.counts["WebhookStatus202"]),
            str(trial.counts["MessagesFoundWritten"]),
            str(trial.counts["RelayFunction: not delivered yet"]),
            f"{trial.longest_delay:.1f}",
            f"{self.seconds_to_settle:.1f}",
        ]

    @property
    def line(self) -> str:
        """Return the same as one line, without zeros."""
        name, *figures = self.cells
        named = zip(_COLUMNS[1:], figures, strict=True)
        return f"{name:<26}" + ", ".join(f"{title.lower()} {value}" for title, value in named if value != "0")

    @property
    def complaints(self) -> list[str]:
        """Return what is wrong, and where the first wrong messages were seen."""
        found = [
            f"{kind}: {self._seen(one)}"
            for kind, harmed in self.verdict.harm.items()
            for one in sorted(harmed)[:_COMPLAINTS]
        ]
        found += [
            f"{on_topic.topic}, {kind}: {one}"
            for on_topic in self.on_topics
            for kind, harmed in on_topic.harm.items()
            for one in sorted(harmed)[:_COMPLAINTS]
        ]
        if self.error:
            found.insert(0, self.error)
        if found and self.trial.faults != [self.fault.name]:
            found.append(f"put on: {', '.join(self.trial.faults)}")
        return found

    def _seen(self, one: str) -> str:
        message = self.trial.accepted.get(one)
        dead_letters = self.dead_letters[COMMENT, one]
        return (
            f"{one} {message and (message.publisher_id, message.value)}: "
            f"webhook answered {self.trial.answers.get(one, [])}, "
            f"said to be stored: {one in self.trial.stored_at}, dead letters: {dead_letters}"
        )


_COMPLAINTS = 10
_COLUMNS = (
    "Fault",
    "Published",
    "Not confirmed",
    "Repeated",
    "Stored once",
    "Dead letters",
    "Lost",
    "Doubled",
    "Double-published",
    "Reordered",
    "Wrong",
    "Spilled",
    "Found by id",
    "Relay's retries",
    "Longest delay (s)",
    "Settled after (s)",
)
_TOPIC_COLUMNS = (
    "Topic",
    "Its action",
    "Published",
    "Dead letters",
    "Lost",
    "Doubled",
    "Wrong",
    "Sent again",
)
_ACTIONS = {POLL: "can be repeated", CHAT: "is looked up", EVENT: "may double"}


def table(results: Sequence[Result]) -> Table:
    """Return all rows."""
    shown = Table(title="Faults", title_justify="left", title_style="bold")
    for index, name in enumerate(_COLUMNS):
        shown.add_column(name, justify="right" if index else "left", no_wrap=not index, overflow="fold")
    for result in results:
        shown.add_row(*result.cells, style="" if result.is_good else "bold red")
    return shown


def topics_table(results: Sequence[Result]) -> Table:
    """Return a row for each topic other than comments, with the sums of all faults."""
    shown = Table(title="Other topics", title_justify="left", title_style="bold")
    for index, name in enumerate(_TOPIC_COLUMNS):
        shown.add_column(name, justify="right" if index > 1 else "left")
    for row in _topic_rows(results):
        shown.add_row(*row)
    return shown


def _topic_rows(results: Sequence[Result]) -> list[list[str]]:
    rows = []
    for topic, action in _ACTIONS.items():
        verdicts = [one for result in results for one in result.on_topics if one.topic == topic]
        figures = [
            (one.published, len(one.dead), *(len(harmed) for harmed in one.harm.values()), one.sent_again)
            for one in verdicts
        ]
        rows.append([topic, action, *(f"{sum(column):,}" for column in zip(*figures, strict=True))])
    return rows


def messages(results: Sequence[Result]) -> int:
    """Return how many comments were published in all."""
    return sum(len(result.verdict.published) for result in results)


def write_faults(document: Path, results: Sequence[Result], rate: float) -> None:
    """Put the faults and their table into docs/faults.md."""
    faults = "\n".join(f"- `{result.fault.name}`: {result.fault.what}." for result in results)
    text = f"{_summary(results, rate)}\n\n{_markdown(results)}\n\nThe faults:\n\n{faults}"
    _replace(document, "faults", text)


def write_soak(document: Path, results: Sequence[Result], rate: float) -> None:
    """Put the table of a soak into docs/faults.md."""
    _replace(document, "soak", f"{_summary(results, rate)}\n\n{_markdown(results)}")


def _summary(results: Sequence[Result], rate: float) -> str:
    return (
        f"{messages(results):,} comments, {rate:g} a second at most,\n"
        f"on {os.cpu_count()} cores with Python {platform.python_version()}."
    )


def _markdown(results: Sequence[Result]) -> str:
    faults = [_COLUMNS, ["---", *["---:"] * (len(_COLUMNS) - 1)], *(result.cells for result in results)]
    topics = [
        _TOPIC_COLUMNS,
        ["---", "---", *["---:"] * (len(_TOPIC_COLUMNS) - 2)],
        *_topic_rows(results),
    ]
    return "\n\n".join("\n".join(f"| {' | '.join(row)} |" for row in rows) for rows in (faults, topics))


def _replace(document: Path, part: str, text: str) -> None:
    """Replace the text between a part's two comments."""
    begin, end = f"<!-- {part}: begin -->", f"<!-- {part}: end -->"
    before, _, rest = document.read_text(encoding="utf-8").partition(begin)
    _, _, after = rest.partition(end)
    document.write_text(f"{before}{begin}\n{text}\n{end}{after}", encoding="utf-8")
