"""The texts that the runbook tells its reader to look for in logs, and those that functions log."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterable

from tests.support.project import ROOT

RUNBOOK = ROOT / "docs/operations.md"
LOGGED_BY_LAMBDA = {"Task timed out", "exited"}
"""What no code of a function logs, but Lambda itself."""

_STANDARD = vars(logging.makeLogRecord({})).keys() | {"message", "asctime"}


def log_groups() -> set[str]:
    """Return the log groups that the runbook tells to look into."""
    return set(re.findall(r"resource (\w+Logs)\)", RUNBOOK.read_text()))


def texts_to_look_for(log_group: str) -> set[str]:
    """Return what the runbook filters a log group for, and what it explains of what this log says.

    An alarm's section names one log group; its table, where it has one, explains texts in that log.
    """
    texts: set[str] = set()
    for section in re.split(r"^##+ ", RUNBOOK.read_text(), flags=re.MULTILINE):
        groups = set(re.findall(r"resource (\w+Logs)\)", section))
        _, has_table, table = section.partition("| the log says | then |\n")
        assert len(groups) == 1 if has_table else len(groups) <= 1, section
        if groups == {log_group}:
            patterns = re.findall(r"--filter-pattern '(.*)'", section)
            rows = table.split("\n\n")[0].splitlines()[1:]
            texts.update(re.findall(r'"([^"]+)"', " ".join(patterns)))
            texts.update(re.findall(r"`([^`]+)`", " ".join(row.split("|")[1] for row in rows)))
    assert texts, f"the runbook looks for nothing in {log_group}"
    return texts - LOGGED_BY_LAMBDA


def logged_text(records: Iterable[logging.LogRecord]) -> str:
    """Return what records say: their messages, the fields that the code has added, and exceptions."""
    lines = []
    for record in records:
        fields = [f"{name}: {value}" for name, value in vars(record).items() if name not in _STANDARD]
        exception = [repr(record.exc_info[1])] if record.exc_info else []
        lines.append(" ".join([record.getMessage(), *fields, *exception]))
    return "\n".join(lines)
