"""docs/configuration.md and the README say of the parameters what the template declares."""

from __future__ import annotations

import re
from typing import Any

from samcli.yamlhelper import yaml_parse

from scripts.document_parameters import DOCUMENT, configuration
from tests.support.project import ROOT

TEMPLATE = yaml_parse((ROOT / "template.yaml").read_text())


def rows(text: str) -> list[tuple[str, str]]:
    """Return the names of parameters and their defaults in a table."""
    return re.findall(r"^\| `(\w+)` \| ([^|]+) \|", text, re.MULTILINE)


def default(declared: dict[str, Any]) -> str:
    if "Default" not in declared:
        return "required"
    return "empty" if declared["Default"] == "" else f"`{declared['Default']}`"


def test_the_configuration_document_is_current() -> None:
    assert DOCUMENT.read_text() == configuration(), "run `make docs`"


def test_the_configuration_document_lists_every_parameter_with_its_default() -> None:
    declared = {name: default(about) for name, about in TEMPLATE["Parameters"].items()}
    assert dict(rows(configuration())) == declared


def test_the_readme_shows_the_defaults_of_the_parameters_that_are_changed_most() -> None:
    section = (ROOT / "README.md").read_text().split("\n## Configuration")[1].split("\n## ")[0]
    shown = rows(section)
    assert len(shown) == 6
    assert shown == [(name, default(TEMPLATE["Parameters"][name])) for name, _ in shown]


def test_every_parameter_is_described_and_checked() -> None:
    for name, about in TEMPLATE["Parameters"].items():
        assert about["Description"].endswith("."), name
        assert {"AllowedPattern", "AllowedValues", "MinValue"} & set(about), name
