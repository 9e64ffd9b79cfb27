"""Templates: parameters, conditions, intrinsic functions, and SAM's Globals."""

import re
from pathlib import Path
from typing import Any

import pytest

from local.cloudformation.parameters import text_of
from local.cloudformation.template import Template, TemplateError
from tests.support.project import ROOT

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
    complaint = r"Parameters: \[Nmae\] do not exist in the template. It has: Name, Size"
    with pytest.raises(TemplateError, match=complaint):
        _load(tmp_path, Nmae="typo")


@pytest.mark.parametrize(
    ("declaration", "accepted", "refused", "complaint"),
    [
        ("{Type: Number, AllowedValues: [5, 6]}", ["5", "6"], ["7", "55"],
         "must be one of AllowedValues: 5,6"),
        ("{Type: String, AllowedValues: ['true', 'off']}", ["true", "off"], ["True", "tru", ""],
         "must be one of AllowedValues: true,off"),
        ("{Type: CommaDelimitedList, AllowedValues: [a, b]}", ["a", "b,a", "a , b"], ["a,c", "", "a,,b"],
         "must be one of AllowedValues: a,b"),
        ("{Type: String, AllowedPattern: '[a-z]+'}", ["abc"], ["", "Abc", "abc1", "abc\\n"],
         "must match pattern [a-z]+"),
        ("{Type: String, AllowedPattern: '^[a-z]+$'}", ["abc"], ["abc\n", " abc", "é"],
         "must match pattern ^[a-z]+$"),
        (r"{Type: String, AllowedPattern: '\w+'}", ["abc_1"], ["é"], r"must match pattern \w+"),
        ("{Type: CommaDelimitedList, AllowedPattern: '[a-z]+'}", ["a", "a, b ,c"], ["a,B", "a,", ",a", ""],
         "must match pattern [a-z]+"),
        ("{Type: String, MinLength: 2}", ["ab"], ["", "a"], "must contain at least 2 characters"),
        ("{Type: String, MaxLength: '2'}", ["", "ab"], ["abc"], "must contain at most 2 characters"),
        ("{Type: Number}", ["0", "-5", "+5", "1.5", ".5", "5.", "1e3"],
         ["", "five", "5 s", "0x10", "1,5", "NaN", "Infinity", "\u0665"], "must be a number."),
        ("{Type: List<Number>}", ["1", "1, 2.5"], ["", "1,", "1,two"], "must be a number."),
        ("{Type: Number, MinValue: 5}", ["5", "5.0", "1e9"], ["4", "-6", "4.999"],
         "must be a number not less than 5"),
        ("{Type: Number, MaxValue: '5.5'}", ["5.5", "-9"], ["5.51", "1e1"],
         "must be a number not greater than 5.5"),
        ("{Type: Number, MinValue: 5, AllowedPattern: '[5-9]', ConstraintDescription: from 5 to 9.}", ["5"],
         ["4", "10"], "failed to satisfy constraint: from 5 to 9."),
        ("{Type: String, AllowedValues: [a], ConstraintDescription: only a}", ["a"], ["b"],
         "failed to satisfy constraint: only a"),
        ("{Type: 'AWS::SSM::Parameter::Value<String>', AllowedPattern: '/.*'}", ["/a"], ["a"],
         "must match pattern /.*"),
    ],
)  # fmt: skip
def test_refuses_a_value_in_the_words_of_cloudformation(
    tmp_path: Path, declaration: str, accepted: list[str], refused: list[str], complaint: str
) -> None:
    text = TEMPLATE.replace("  Name: {Type: String}\n", f"  Name: {{Type: String}}\n  Probe: {declaration}\n")
    for value in accepted:
        assert _load(tmp_path, text, Probe=value).parameters["Probe"] in (
            value,
            [item.strip() for item in value.split(",")],
        )
    for value in refused:
        with pytest.raises(TemplateError) as refusal:
            _load(tmp_path, text, Probe=value)
        assert str(refusal.value) == f"Parameter 'Probe' {complaint}"


def test_refuses_a_default_that_its_own_declaration_does_not_allow(tmp_path: Path) -> None:
    text = TEMPLATE.replace('Default: ""', 'Default: "", MinLength: 1')
    with pytest.raises(TemplateError, match="Parameter 'Empty' must contain at least 1 characters"):
        _load(tmp_path, text)
    assert _load(tmp_path, text, Empty="x")


def test_a_parameter_can_be_left_unchecked(tmp_path: Path) -> None:
    path = tmp_path / "template.yaml"
    path.write_text(TEMPLATE, encoding="utf-8")
    values = {"Name": "test", "Size": "7"}
    assert Template.load(path, values, unchecked={"Size"}).parameters["Size"] == "7"
    with pytest.raises(TemplateError, match="Parameter 'Size' must be one of AllowedValues"):
        Template.load(path, values, unchecked={"Name"})


RULES = """
Rules:
  Unconditional:
    Assertions:
      - Assert: !Not [!Equals [!Ref Name, forbidden]]
        AssertDescription: This name is forbidden.
      - Assert: !Contains [[test, production, big, other, forbidden], !Ref Name]
  OfProduction:
    RuleCondition: !Equals [!Ref Name, production]
    Assertions:
      - Assert: !And [!Not [!Equals [!Ref Empty, ""]], !EachMemberIn [!Ref Origins, ["http://a", "http://b"]]]
        AssertDescription: Production needs a value, and origins that it knows.
  OfBig:
    RuleCondition: !Or [!Equals [!Ref Name, big], !Equals [!Ref Name, huge]]
    Assertions:
      - Assert: !EachMemberEquals [!Ref Origins, "http://a"]
        AssertDescription: Big needs one origin.
"""


@pytest.mark.parametrize(
    ("values", "complaint"),
    [
        ({}, None),
        ({"Name": "forbidden"}, "Template rule Unconditional is not satisfied: This name is forbidden."),
        ({"Name": "unheard"}, "Template rule Unconditional is not satisfied: an assertion is false"),
        ({"Name": "production"}, "OfProduction is not satisfied: Production needs a value"),
        ({"Name": "production", "Empty": "x"}, None),
        (
            {"Name": "production", "Empty": "x", "Origins": "http://a,http://c"},
            "OfProduction is not satisfied",
        ),
        ({"Name": "big"}, "OfBig is not satisfied: Big needs one origin."),
        ({"Name": "big", "Origins": "http://a"}, None),
    ],
)
def test_refuses_values_that_break_a_rule(
    tmp_path: Path, values: dict[str, str], complaint: str | None
) -> None:
    if complaint is None:
        assert _load(tmp_path, RULES + TEMPLATE, **values)
        return
    with pytest.raises(TemplateError, match=re.escape(complaint)):
        _load(tmp_path, RULES + TEMPLATE, **values)


@pytest.mark.parametrize(
    ("values", "complaint"),
    [
        ({"JwtIssuer": "http://issuer.test", "JwtAudience": "a"},
         r"Parameter 'JwtIssuer' must match pattern ^(https://[^\s]+)?$"),
        ({"JwtIssuer": "https://issuer.test"}, "JwtIssuer requires JwtAudience."),
        ({"AllowedOrigins": "http://a, ftp://b"}, "Parameter 'AllowedOrigins' must match pattern"),
        ({"TokenLifetimeMinutes": "0"},
         "Parameter 'TokenLifetimeMinutes' must be a number not less than 1"),
        ({"TokenLifetimeMinutes": "soon"}, "Parameter 'TokenLifetimeMinutes' must be a number."),
        ({"MessageSource": "nobody"}, "Parameter 'MessageSource' must be one of AllowedValues"),
        ({"CacheName": "a b"}, "Parameter 'CacheName' must match pattern"),
    ],
)  # fmt: skip
def test_the_systems_own_parameters_are_checked(values: dict[str, str], complaint: str) -> None:
    with pytest.raises(TemplateError, match=re.escape(complaint)):
        Template.load(ROOT / "template.yaml", {"MomentoApiKey": "key", **values})


def test_a_refusal_does_not_contain_the_value() -> None:
    with pytest.raises(TemplateError) as refusal:
        Template.load(ROOT / "template.yaml", {"MomentoApiKey": "a secret"})
    assert "a secret" not in str(refusal.value)


def test_a_resource_without_a_type_is_none_of_that_type(tmp_path: Path) -> None:
    text = TEMPLATE.replace("    Type: AWS::DynamoDB::Table\n", "")
    assert not _load(tmp_path, text).resources("AWS::DynamoDB::Table")


def test_needs_a_value_for_a_parameter_without_default(tmp_path: Path) -> None:
    path = tmp_path / "template.yaml"
    path.write_text(TEMPLATE, encoding="utf-8")
    with pytest.raises(TemplateError, match=r"Parameters: \[Name\] must have values"):
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
    template = Template.load(ROOT / "template.yaml", {"MomentoApiKey": "key"})
    functions = template.resources("AWS::Serverless::Function")
    assert {"TokenVendorFunction", "PublisherFunction", "WebhookFunction"} <= set(functions)
