"""A new version of a function is published whenever a changed parameter changes the function."""

from __future__ import annotations

import contextlib
from pathlib import Path

import pytest
from samcli.yamlhelper import yaml_parse

from local.cloudformation.template import TemplateError
from tests.support.project import ROOT
from tests.support.translated_template import OTHERS, PUBLISHED, TranslatedTemplate

PARAMETERS = yaml_parse((ROOT / "template.yaml").read_text())["Parameters"]
PROBES = ["12", "4000", "fr", "https://a.example.com", "a@example.com", "name"]
"""Values, the first valid of which is another than the default of each parameter without `AllowedValues`."""


@pytest.fixture(scope="module")
def before(tmp_path_factory: pytest.TempPathFactory) -> TranslatedTemplate:
    return TranslatedTemplate(tmp_path_factory.mktemp("before"), OTHERS)


@pytest.mark.parametrize("parameter", PARAMETERS)
def test_a_parameter_that_changes_a_function_publishes_a_version(
    parameter: str, before: TranslatedTemplate, tmp_path: Path
) -> None:
    after = with_another_value(parameter, tmp_path)
    for function in PUBLISHED:
        if versioned_properties(after, function) != versioned_properties(before, function):
            assert version_of(after, function) != version_of(before, function), (
                f"add {parameter} to SourceKMSKeyArn in the Globals of template.yaml"
            )


def test_a_change_at_the_end_of_a_long_value_publishes_a_version(tmp_path: Path) -> None:
    long = "https://example.com/" + "x" * 200
    first, second = (TranslatedTemplate(tmp_path, {**OTHERS, "TokenIdClaim": long + end}) for end in "12")
    assert version_of(first, "TokenVendorFunction") != version_of(second, "TokenVendorFunction")


def test_the_property_that_only_the_hash_reads_is_not_deployed(tmp_path: Path) -> None:
    template = TranslatedTemplate(tmp_path, OTHERS)
    for function in PUBLISHED:
        assert "SourceKMSKeyArn" not in template.properties(function)["Code"]


def with_another_value(parameter: str, folder: Path) -> TranslatedTemplate:
    """Return the translated template with a value of the parameter that is not its default."""
    about = PARAMETERS[parameter]
    for value in map(str, about.get("AllowedValues", PROBES)):
        if value not in {str(about.get("Default")), OTHERS.get(parameter)}:
            with contextlib.suppress(TemplateError):
                return TranslatedTemplate(folder, {**OTHERS, parameter: value})
    raise AssertionError(f"no value in PROBES is valid for {parameter}")


def version_of(template: TranslatedTemplate, function: str) -> str:
    """Return the logical id of a function's version: CloudFormation publishes another when this changes."""
    versions = template.names("AWS::Lambda::Version")
    [version] = [name for name in versions if name.startswith(f"{function}Version")]
    assert "Description" not in template.properties(version), "a description is limited to 256 characters"
    return version


def versioned_properties(template: TranslatedTemplate, function: str) -> dict[str, object]:
    """Return the properties that a version freezes; reserved concurrency belongs to the function itself."""
    properties: dict[str, object] = template.properties(function)
    return {name: value for name, value in properties.items() if name != "ReservedConcurrentExecutions"}
