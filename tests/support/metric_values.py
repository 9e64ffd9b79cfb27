"""The values of the metrics that functions write to their logs."""

from __future__ import annotations

import json

import pytest


class Metrics:
    """The metrics that relays in this process have written."""

    def __init__(self, capsys: pytest.CaptureFixture[str]) -> None:
        self._capsys = capsys
        self._written = ""

    def __getitem__(self, name: str) -> float:
        """Return the sum of a metric."""
        return sum(self.values(name))

    def values(self, name: str) -> list[float]:
        """Return all values of a metric."""
        self._written += self._capsys.readouterr().out
        return metric_values(self._written, name)


def metric_values(written: str, name: str) -> list[float]:
    """Return all values of a metric in what was written."""
    lines = [json.loads(line) for line in written.splitlines()]
    return [value for line in lines if "_aws" in line for value in line.get(name, [])]
