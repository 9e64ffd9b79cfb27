"""What the README says of the parameters is what the template declares."""

from __future__ import annotations

import re
from pathlib import Path

from samcli.yamlhelper import yaml_parse

ROOT = Path(__file__).parents[2]


def test_the_configuration_table_lists_every_parameter_with_its_default_in_order() -> None:
    section = (ROOT / "README.md").read_text().split("## Configuration")[1].split("\n## ")[0]
    rows = re.findall(r"^\| `(\w+)` \| (?:`([^`]+)`)? ?\|", section, re.MULTILINE)
    declared = yaml_parse((ROOT / "template.yaml").read_text())["Parameters"]
    assert rows == [(name, str(about.get("Default", ""))) for name, about in declared.items()]


def test_every_parameter_is_described_and_checked() -> None:
    declared = yaml_parse((ROOT / "template.yaml").read_text())["Parameters"]
    for name, about in declared.items():
        assert about["Description"].endswith("."), name
        assert {"AllowedPattern", "AllowedValues", "MinValue"} & set(about), name
