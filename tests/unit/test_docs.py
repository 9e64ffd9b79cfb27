"""What the documents say of alarms, metrics, logs, tests and each other is so."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest
from samcli.yamlhelper import yaml_parse

from tests.support.project import ROOT
from tests.support.watched_metrics import SERVICES, watched_metrics

OPERATIONS = (ROOT / "docs/operations.md").read_text()
DOCUMENTS = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]


def alarms() -> dict[str, dict[str, object]]:
    resources = yaml_parse((ROOT / "template.yaml").read_text())["Resources"]
    return {
        name: one["Properties"] for name, one in resources.items() if one["Type"] == "AWS::CloudWatch::Alarm"
    }


def anchors(document: Path) -> set[str]:
    """Return the fragments that lead to the headings of a document."""
    text = re.sub(r"^```.*?^```", "", document.read_text(), flags=re.MULTILINE | re.DOTALL)
    headings = re.findall(r"^#+ (.+)$", text, re.MULTILINE)
    return {re.sub(r"[^\w -]", "", heading).lower().replace(" ", "-") for heading in headings}


def test_every_alarm_leads_to_what_the_operations_say_of_it() -> None:
    section = OPERATIONS.split("\n## Alarms")[1].split("\n## ")[0]
    described = re.findall(r"^### (.+)$", section, re.MULTILINE)
    assert sorted(described) == sorted(alarms())
    for name, properties in alarms().items():
        assert str(properties["AlarmDescription"]).endswith(f" See docs/operations.md#{name.lower()}")
    for description in section.split("\n### ")[1:]:
        assert "**Means**: " in description
        assert "**Do**: " in description


def test_every_metric_that_is_watched_is_a_functions_own_and_in_the_table() -> None:
    table = OPERATIONS.split("\n## Metrics")[1].split("\n## ")[0]
    watched = watched_metrics()
    assert {metric.service for metric in watched} == set(SERVICES.values())
    assert {metric.name for metric in watched} == set(re.findall(r"`((?!ColdStart)[A-Z]\w+)`", table))


def test_the_bill_counts_every_metric_of_the_alarms() -> None:
    counts = [len(str(properties).split("'MetricName'")) - 1 for properties in alarms().values()]
    assert f"{sum(counts)} alarm metrics" in OPERATIONS


def test_every_test_that_the_threat_model_names_exists() -> None:
    named = re.findall(r"`(tests/[\w/]+\.py)::(\w+)`", (ROOT / "docs/security.md").read_text())
    assert len(named) > 30
    for file, name in named:
        tree = ast.parse((ROOT / file).read_text())
        tests = [node for node in tree.body if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)]
        assert name in {test.name for test in tests}, file


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda document: document.name)
def test_every_link_to_another_part_of_the_project_leads_there(document: Path) -> None:
    for link in re.findall(r"\]\((?!https?:)([^)\s]+)\)", document.read_text()):
        file, _, fragment = link.partition("#")
        target = document.parent / file if file else document
        assert target.exists(), link
        assert not fragment or fragment in anchors(target), link
