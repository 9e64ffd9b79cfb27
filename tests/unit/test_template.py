"""Templates: parameters, conditions, intrinsic functions, and SAM's Globals."""

from pathlib import Path
from typing import Any

import pytest

from local.template import Template, TemplateError, text_of

TEMPLATE = """
Parameters:
  Name: {Type: String}
  Size: {Type: Number, Default: 5, AllowedValues: [5, 6]}
  Empty: {Type: String, Default: ""}
  Origins: {Type: CommaDelimitedList, Default: "http://a, http://b"}
Conditions:
  IsProduction: !Equals [!Ref Name, production]
  IsNotProduction: !Not [!Condition IsProduction]
  Both: !And [!Condition IsProduction, !Equals [!Ref Size, 5]]
  Either: !Or [!Condition IsProduction, !Equals ["5", !Ref Size]]
Globals:
  Function:
    Timeout: 3
    Layers: [one]
    Environment: {Variables: {A: global, B: global}}
Resources:
  First:
    Type: AWS::Serverless::Function
    Properties:
      Timeout: 9
      Layers: [two]
      Environment: {Variables: {B: own, C: own}}
  Second:
    Type: AWS::Serverless::Function
    Condition: IsProduction
  Table:
    Type: AWS::DynamoDB::Table
    Properties: {TableName: !Ref Name}
"""


@pytest.fixture
def template(tmp_path: Path) -> Template:
    return _load(tmp_path)


def _load(folder: Path, text: str = TEMPLATE, **overrides: str) -> Template:
    path = folder / "template.yaml"
    path.write_text(text, encoding="utf-8")
    return Template.load(path, {"Name": "test", **overrides})


def _resolve(folder: Path, yaml_text: str, **overrides: str) -> Any:
    """Return what a value, written as in a template, resolves to."""
    text = f"{TEMPLATE}\n  Probe:\n    Type: Probe\n    Properties: {{Value: {yaml_text}}}\n"
    template = _load(folder, text, **overrides).with_attributes(
        {"Table": "the-table", "Table.Arn": "arn:table"}
    )
    return template.resolve(template.resources("Probe")["Probe"]).get("Value", "absent")


@pytest.mark.parametrize(
    ("value", "resolved"),
    [
        ("!Ref Name", "test"),
        ("{Ref: Name}", "test"),
        ("!Ref Size", "5"),
        ("!Ref Empty", ""),
        ("!Ref Origins", ["http://a", "http://b"]),
        ("!Ref AWS::Region", "us-east-1"),
        ("!Ref Table", "the-table"),
        ("!Ref AWS::NoValue", "absent"),
        ("[1, !Ref AWS::NoValue, 2]", [1, 2]),
        ("{a: !Ref AWS::NoValue, b: 1}", {"b": 1}),
        ("!GetAtt Table.Arn", "arn:table"),
        ("!GetAtt [Table, Arn]", "arn:table"),
        ("{Fn::GetAtt: [Table, Arn]}", "arn:table"),
        ('!Sub "${Name}-${Size}"', "test-5"),
        ('!Sub "${AWS::Region}/${Table}/${Table.Arn}"', "us-east-1/the-table/arn:table"),
        ('!Sub ["${x}-${Name}", {x: !Ref Size}]', "5-test"),
        ('!Sub "${!Literal} ${Name}"', "${Literal} test"),
        ('!Join [",", [a, !Ref Name, !Ref AWS::NoValue]]', "a,test"),
        ('!Join ["+", !Ref Origins]', "http://a+http://b"),
        ('!Split [",", "a,b"]', ["a", "b"]),
        ('!Split ["-", !Sub "${Name}-${Size}"]', ["test", "5"]),
        ("!If [IsProduction, yes-it-is, [!Ref Name]]", ["test"]),
        ("!If [IsProduction, 1, !Ref AWS::NoValue]", "absent"),
        ("[true, 1, 1.5, null, text]", [True, 1, 1.5, None, "text"]),
        ("{Ref: Name, Other: 1}", {"Ref": "Name", "Other": 1}),
    ],
)
def test_resolves(tmp_path: Path, value: str, resolved: object) -> None:
    assert _resolve(tmp_path, value) == resolved


@pytest.mark.parametrize(
    ("name", "conditions"),
    [
        ("production", {"IsProduction", "Both", "Either"}),
        ("test", {"IsNotProduction", "Either"}),
    ],
)
def test_conditions_hold_as_parameters_say(tmp_path: Path, name: str, conditions: set[str]) -> None:
    template = _load(tmp_path, Name=name)
    assert {one for one in template.document["Conditions"] if template.condition(one)} == conditions


def test_a_resource_whose_condition_does_not_hold_is_not_there(tmp_path: Path) -> None:
    assert set(_load(tmp_path).resources("AWS::Serverless::Function")) == {"First"}
    production = _load(tmp_path, Name="production")
    assert set(production.resources("AWS::Serverless::Function")) == {"First", "Second"}


def test_globals_are_merged_into_functions(tmp_path: Path) -> None:
    functions = _load(tmp_path, Name="production").resources("AWS::Serverless::Function")
    assert functions["First"] == {
        "Timeout": 9,
        "Layers": ["one", "two"],
        "Environment": {"Variables": {"A": "global", "B": "own", "C": "own"}},
    }
    assert functions["Second"]["Environment"] == {"Variables": {"A": "global", "B": "global"}}


def test_an_intrinsic_function_replaces_a_global_value(tmp_path: Path) -> None:
    text = TEMPLATE.replace("Environment: {Variables: {B: own, C: own}}", "Environment: !Ref Name")
    template = _load(tmp_path, text)
    first = template.resources("AWS::Serverless::Function")["First"]
    assert template.resolve(first)["Environment"] == "test"


def test_learns_resources_without_changing(template: Template) -> None:
    knowing = template.with_attributes({"Table": "x"}).with_attributes({"Table.Arn": "y"})
    assert knowing.resolve([{"Ref": "Table"}, {"Fn::GetAtt": "Table.Arn"}]) == ["x", "y"]
    with pytest.raises(TemplateError):
        template.resolve({"Ref": "Table"})


@pytest.mark.parametrize(
    ("value", "complaint"),
    [
        ("!Ref Nothing", "Nothing"),
        ("!GetAtt Table.StreamArn", "Table.StreamArn"),
        ('!Sub "${Nothing}"', "Nothing"),
        ("!If [NoSuchCondition, 1, 2]", "NoSuchCondition"),
        ("!Select [0, [a]]", "Fn::Select"),
        ("!If [IsProduction, 1]", "Fn::If"),
        ('!Split [",", !Ref Origins]', "Fn::Split"),
    ],
)
def test_says_what_it_cannot_resolve(tmp_path: Path, value: str, complaint: str) -> None:
    with pytest.raises(TemplateError, match=complaint):
        _resolve(tmp_path, value)


def test_refuses_an_unknown_parameter(tmp_path: Path) -> None:
    with pytest.raises(TemplateError, match=r"no parameter Nmae. It has: Name, Size"):
        _load(tmp_path, Nmae="typo")


def test_refuses_a_value_that_is_not_allowed(tmp_path: Path) -> None:
    with pytest.raises(TemplateError, match="Size may be 5, 6, not '7'"):
        _load(tmp_path, Size="7")


def test_a_resource_without_a_type_is_none_of_that_type(tmp_path: Path) -> None:
    text = TEMPLATE.replace("    Type: AWS::DynamoDB::Table\n", "")
    assert not _load(tmp_path, text).resources("AWS::DynamoDB::Table")


def test_needs_a_value_for_a_parameter_without_default(tmp_path: Path) -> None:
    path = tmp_path / "template.yaml"
    path.write_text(TEMPLATE, encoding="utf-8")
    with pytest.raises(TemplateError, match="Name needs a value"):
        Template.load(path, {})


@pytest.mark.parametrize("text", ["[]", "a: [", "Resources: 5", ""])
def test_refuses_what_is_no_template(tmp_path: Path, text: str) -> None:
    with pytest.raises(TemplateError):
        _load(tmp_path, text)


def test_refuses_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(TemplateError, match=r"none\.yaml"):
        Template.load(tmp_path / "none.yaml", {})


@pytest.mark.parametrize(
    ("value", "text"), [(True, "true"), (False, "false"), (5, "5"), (["a", 1], "a,1"), ("x", "x")]
)
def test_text_of(value: object, text: str) -> None:
    assert text_of(value) == text


def test_reads_the_systems_own_template() -> None:
    root = Path(__file__).parents[2]
    template = Template.load(root / "template.yaml", {"MomentoApiKey": "key"})
    functions = template.resources("AWS::Serverless::Function")
    assert {"TokenVendorFunction", "PublisherFunction", "WebhookFunction"} <= set(functions)
