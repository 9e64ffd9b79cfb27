"""Make a function's log lines readable for people."""

import json
import re
from dataclasses import dataclass

_PLATFORM_LINES = ("START RequestId: ", "END RequestId: ", "REPORT RequestId: ")
# The prefixes of the runtime client: for records of Python's logging, and for errors.
_LEVEL = re.compile(r"\[(DEBUG|INFO|WARNING|ERROR|CRITICAL)\]")
_FAILED = re.compile(r"RequestId: \S+ Error: |\S+ \S+ Task timed out after ")
# Fields that Powertools' Logger adds to every line.
_POWERTOOLS_KEYS = {
    "cold_start",
    "correlation_id",
    "function_arn",
    "function_memory_size",
    "function_name",
    "function_request_id",
    "level",
    "location",
    "message",
    "service",
    "stack_trace",
    "timestamp",
    "xray_trace_id",
}


@dataclass(frozen=True)
class LogEntry:
    """A line's severity (a logging level's name) and its text."""

    level: str
    text: str


def read_entry(line: str) -> LogEntry | None:
    """Return the entry in a line of a function's log, or None for metrics and Lambda's own lines."""
    if line.startswith(_PLATFORM_LINES) or not line.strip():
        return None
    try:
        fields = json.loads(line)
    except ValueError:
        fields = None
    if not isinstance(fields, dict):
        # The runtime client writes a traceback as one line, separated by carriage returns.
        return LogEntry(_level(line), line.replace("\r", "\n"))
    if "_aws" in fields:  # CloudWatch's embedded metric format
        return None
    extra = [f"{key}={value}" for key, value in fields.items() if key not in _POWERTOOLS_KEYS]
    return LogEntry(str(fields.get("level", "INFO")), "  ".join([str(fields.get("message", "")), *extra]))


def _level(line: str) -> str:
    """Return the severity of a line that Powertools' Logger did not write."""
    if level := _LEVEL.match(line):
        return level[1]
    return "ERROR" if _FAILED.match(line) else "INFO"
