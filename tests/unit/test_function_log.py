"""How the log lines of functions are shown."""

import json

import pytest

from local.cli.function_log import LogEntry, read_entry


def test_a_powertools_line_shows_its_message_and_what_was_added_to_it() -> None:
    line = {
        "level": "WARNING",
        "location": "_respond:50",
        "message": "refused",
        "timestamp": "2026-01-01 00:00:00,000+0000",
        "service": "webhook",
        "cold_start": True,
        "function_name": "WebhookFunction",
        "reason": "wrong signature",
        "attempt": 2,
    }
    assert read_entry(json.dumps(line)) == LogEntry("WARNING", "refused  reason=wrong signature  attempt=2")


@pytest.mark.parametrize(
    "line",
    [
        "",
        "  ",
        '{"_aws": {"Timestamp": 1, "CloudWatchMetrics": []}, "Stored": [1.0]}',
        "START RequestId: 1 Version: $LATEST",
        "END RequestId: 1",
        "REPORT RequestId: 1\tDuration: 1.00 ms",
    ],
)
def test_metrics_and_lambdas_own_lines_are_not_shown(line: str) -> None:
    assert read_entry(line) is None


@pytest.mark.parametrize(
    ("line", "entry"),
    [
        ("printed", LogEntry("INFO", "printed")),
        ("[1, 2]", LogEntry("INFO", "[1, 2]")),
        ("{broken", LogEntry("INFO", "{broken")),
        ("[ERROR] KeyError: 1\rTraceback:\r  x", LogEntry("ERROR", "[ERROR] KeyError: 1\nTraceback:\n  x")),
        ("[WARNING]\tslow", LogEntry("WARNING", "[WARNING]\tslow")),
        ("RequestId: 1 Error: Runtime exited with error: signal: SIGKILL",
         LogEntry("ERROR", "RequestId: 1 Error: Runtime exited with error: signal: SIGKILL")),
        ("2026-01-01T00:00:00Z 1 Task timed out after 5.00 seconds",
         LogEntry("ERROR", "2026-01-01T00:00:00Z 1 Task timed out after 5.00 seconds")),
    ],
)  # fmt: skip
def test_other_lines_are_shown_as_they_are(line: str, entry: LogEntry) -> None:
    assert read_entry(line) == entry
