"""The functions' own metrics: which the alarms and the dashboard watch, and which the functions write."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

from local.cloudformation.template import Template
from tests.support.project import ROOT

SERVICES = {
    "TokenVendorFunction": "token-vendor",
    "PublisherFunction": "publisher",
    "WebhookFunction": "webhook",
    "RelayFunction": "relay",
}


@dataclass(frozen=True, order=True)
class Metric:
    """What CloudWatch tells metrics apart by."""

    namespace: str
    name: str
    service: str


class _AnyResource(dict[str, str]):
    def __missing__(self, attribute: str) -> str:
        return attribute


def watched_metrics(function: str | None = None) -> set[Metric]:
    """Return the metrics that alarms and the dashboard watch, except AWS's own.

    With `function`, return only those of this function.
    """
    template = _template()
    alarms = template.resources("AWS::CloudWatch::Alarm").values()
    [dashboard] = template.resources("AWS::CloudWatch::Dashboard").values()
    widgets = json.loads(template.resolve(dashboard)["DashboardBody"])["widgets"]
    metrics = {metric for alarm in alarms for metric in _alarmed(template.resolve(alarm))}
    metrics |= {metric for widget in widgets for metric in _shown(widget["properties"].get("metrics", []))}
    return {one for one in metrics if function is None or one.service == SERVICES[function]}


def written_metrics(output: str) -> set[Metric]:
    """Return the metrics in a function's log whose only dimension is the service."""
    lines = [json.loads(line) for line in output.splitlines() if line.startswith("{")]
    return {
        Metric(directive["Namespace"], metric["Name"], line["service"])
        for line in lines
        for directive in line.get("_aws", {}).get("CloudWatchMetrics", [])
        for metric in directive["Metrics"]
        if directive["Dimensions"] == [["service"]]
    }


def metrics_environment(function: str) -> dict[str, str]:
    """Return the environment variables that tell a function how to write its metrics."""
    template = _template()
    variables = template.resources("AWS::Serverless::Function")[function]["Environment"]["Variables"]
    names = ("POWERTOOLS_METRICS_NAMESPACE", "POWERTOOLS_SERVICE_NAME")
    return {name: template.resolve(variables[name]) for name in names}


def _template() -> Template:
    template = Template.load(ROOT / "template.yaml", {"MomentoApiKey": "key"})
    return replace(template, attributes=_AnyResource())


def _alarmed(alarm: dict[str, Any]) -> Iterator[Metric]:
    metrics = [one["MetricStat"]["Metric"] for one in alarm.get("Metrics", []) if "MetricStat" in one]
    for metric in metrics or [alarm]:
        if not metric["Namespace"].startswith("AWS/"):
            [dimension] = metric["Dimensions"]
            assert dimension["Name"] == "service"
            yield Metric(metric["Namespace"], metric["MetricName"], dimension["Value"])


def _shown(lines: list[list[Any]]) -> Iterator[Metric]:
    """Yield the metrics in the rows of a widget. A dot repeats the value above it."""
    before: list[str] = []
    for line in lines:
        before = [
            above if value == "." else value
            for value, above in zip(line[:4], before or line[:4], strict=True)
        ]
        namespace, name, dimension, value = before
        if not namespace.startswith("AWS/"):
            assert dimension == "service"
            yield Metric(namespace, name, value)
