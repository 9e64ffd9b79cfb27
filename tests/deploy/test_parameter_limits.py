"""CloudFormation accepts the resources that result from any allowed value of a parameter."""

from __future__ import annotations

import copy
import json
import re
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml
from samcli.yamlhelper import yaml_parse

from local.cloudformation.template import REGION
from tests.support.project import ROOT
from tests.support.translated_template import OTHERS, TranslatedTemplate

PARAMETERS: Mapping[str, Mapping[str, Any]] = yaml_parse((ROOT / "template.yaml").read_text())["Parameters"]
PSEUDO_PARAMETERS = {"AWS::StackName": "s" * 128, "AWS::Region": REGION, "AWS::AccountId": "1" * 12}
"""Values of pseudo parameters. A stack's name has at most 128 characters."""

LONGEST_LIST = 4096
"""The maximum length of any parameter's value in CloudFormation."""

FORMS = ["{}", "https://{}", "someone@{}"]
"""Forms of values, each with a place for a part of any length."""

MAX_ENVIRONMENT_BYTES = 4096
"""Lambda's limit for a function's variables, names and values together."""


def longest(about: Mapping[str, Any]) -> str:
    """Return a value of a parameter that is as long, or as large, as its declaration allows."""
    if "AllowedValues" in about:
        return max(map(str, about["AllowedValues"]), key=len)
    if about["Type"] == "Number":
        return str(about["MaxValue"])
    length = about["MaxLength"] if about["Type"] == "String" else LONGEST_LIST
    pattern = re.compile(about["AllowedPattern"])
    for size in range(length, 0, -1):
        values = [form.format("1" * (size - len(form) + len("{}"))) for form in FORMS]
        for value in [*values, ("en," * size)[:size]]:
            if len(value) == size and pattern.search(value):
                return value
    raise AssertionError(f"no form in FORMS matches {about['AllowedPattern']}")


def smallest(about: Mapping[str, Any]) -> str:
    """Return the smallest number, the first of the values allowed, or the default, which may be empty."""
    if "AllowedValues" in about:
        return str(about["AllowedValues"][0])
    return str(about["MinValue"]) if about["Type"] == "Number" else str(about.get("Default", longest(about)))


@pytest.mark.parametrize("name", PARAMETERS)
def test_a_parameter_limits_the_length_or_size_of_its_value(name: str) -> None:
    about = PARAMETERS[name]
    limits = {"String": {"MaxLength"}, "Number": {"MinValue", "MaxValue"}, "CommaDelimitedList": set()}
    assert "AllowedValues" in about or limits[about["Type"]] <= set(about)


@pytest.fixture(scope="module")
def with_longest(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """Return the translated template with the longest values of all parameters."""
    return with_values(tmp_path_factory.mktemp("longest"), longest)


def test_resources_accept_the_extreme_values_of_all_parameters(
    with_longest: dict[str, Any], tmp_path: Path
) -> None:
    """cfn-lint compares every property with the schema that CloudFormation publishes for the resource."""
    resources = copy.deepcopy(with_longest["Resources"])
    [group] = (one for one in resources.values() if "/aws/vendedlogs/" in str(one.get("Properties")))
    assert group["Type"] == "AWS::Logs::LogGroup"
    group["Properties"]["LogGroupName"] += "x" * 512
    too_long = {"Resources": {"Group": group}}
    found = lint(tmp_path, longest=with_longest, smallest=with_values(tmp_path, smallest), too_long=too_long)
    assert ("too_long", "E3033") in found
    assert {name for name, _ in found} == {"too_long"}


def test_the_longest_variables_fit_into_a_functions_environment(with_longest: dict[str, Any]) -> None:
    for name, resource in with_longest["Resources"].items():
        if resource["Type"] == "AWS::Lambda::Function":
            variables = resource["Properties"]["Environment"]["Variables"]
            # A value that is not a string is an ARN, a URL or a name that only the deployed stack knows.
            texts = [value if isinstance(value, str) else "x" * 200 for value in variables.values()]
            assert sum(map(len, [*variables, *texts])) <= MAX_ENVIRONMENT_BYTES, name


def test_the_webhook_gets_more_executions_than_the_spill_queue_may_use() -> None:
    about = PARAMETERS["WebhookConcurrency"]
    accepted = {number for number in range(1200) if re.search(about["AllowedPattern"], str(number))}
    document = yaml_parse((ROOT / "template.yaml").read_text())
    [mapping] = document["Resources"]["WebhookFunction"]["Properties"]["Events"].values()
    for_the_queue = mapping["Properties"]["ScalingConfig"]["MaximumConcurrency"]
    assert accepted == {0, *range(for_the_queue + 1, 1001)}
    for text in ("05", "5.0", "+5", "-1", " 5", "1e1", "06", ""):
        assert not re.search(about["AllowedPattern"], text), text


@pytest.mark.parametrize(
    "claim",
    ["sub", "custom:user_id", "https://app.example.com/user_id", "https://a.b/claims?v=1#id", "a|b~c"],
)
def test_a_claims_name_may_be_a_url(claim: str) -> None:
    assert re.search(PARAMETERS["TokenIdClaim"]["AllowedPattern"], claim)


@pytest.mark.parametrize("claim", [" ", "two words", "line\nbreak"])
def test_a_claims_name_has_no_space(claim: str) -> None:
    assert not re.search(PARAMETERS["TokenIdClaim"]["AllowedPattern"], claim)


def test_access_logs_need_no_entry_in_the_accounts_policy(tmp_path: Path) -> None:
    """Each log group that API Gateway writes to is under a prefix that AWS's own policy covers."""
    template = TranslatedTemplate(tmp_path, OTHERS)
    [stage] = (template.properties(name) for name in template.names("AWS::ApiGatewayV2::Stage"))
    group = stage["AccessLogSettings"]["DestinationArn"].removesuffix(".Arn")
    assert template.properties(group)["LogGroupName"].startswith("/aws/vendedlogs/")


def test_names_of_users_that_differ_by_case_are_one_user(tmp_path: Path) -> None:
    pool = TranslatedTemplate(tmp_path, OTHERS).properties("UserPool")
    assert pool["UsernameConfiguration"] == {"CaseSensitive": False}


def test_events_that_the_publisher_fails_to_handle_are_kept_and_watched(tmp_path: Path) -> None:
    template = TranslatedTemplate(tmp_path, OTHERS)
    config = template.properties("PublisherFunctionEventInvokeConfig")
    assert config["Qualifier"] == "live", "callers invoke the alias"
    assert config["MaximumEventAgeInSeconds"] <= 600
    destination = config["DestinationConfig"]["OnFailure"]["Destination"]
    queue = destination.removesuffix(".Arn")
    assert template.properties(queue)["SqsManagedSseEnabled"] is True
    [policy] = template.properties("PublisherRole")["Policies"]
    assert {"Effect": "Allow", "Action": "sqs:SendMessage", "Resource": destination} in (
        policy["PolicyDocument"]["Statement"]
    )
    alarms = [template.properties(name) for name in template.names("AWS::CloudWatch::Alarm")]
    name = {"Name": "QueueName", "Value": f"{queue}.QueueName"}
    assert any(name in alarm.get("Dimensions", []) for alarm in alarms)
    # If an event were redriven into the spill queue, the webhook would take it for a message.
    assert queue not in str(template.properties("SpillQueue")["RedrivePolicy"])


def with_values(folder: Path, value_of: Callable[[Mapping[str, Any]], str]) -> dict[str, Any]:
    """Return the translated template with values in place of the parameters."""
    values = {name: value_of(about) for name, about in PARAMETERS.items()}
    document: dict[str, Any] = yaml.load(
        TranslatedTemplate(folder, OTHERS).path.read_text(), yaml.CSafeLoader
    )
    document["Resources"] = replaced(document["Resources"], {**values, **PSEUDO_PARAMETERS})
    return document


def replaced(node: Any, values: Mapping[str, str]) -> Any:
    """Return a part of a template with every reference to one of `values` replaced."""
    match node:
        case {"Ref": str(name)} if name in values:
            is_list = PARAMETERS.get(name, {}).get("Type") == "CommaDelimitedList"
            return values[name].split(",") if is_list else values[name]
        case {"Fn::Sub": str(text)}:
            for name, value in values.items():
                text = text.replace(f"${{{name}}}", value)
            return {"Fn::Sub": text} if "${" in text else text
        case {"Fn::Sub": [str(text), dict(variables)]}:
            inner = replaced({"Fn::Sub": text}, {name: values[name] for name in values.keys() - variables})
            text = inner["Fn::Sub"] if isinstance(inner, dict) else inner
            return {"Fn::Sub": [text, replaced(variables, values)]}
        case dict():
            return {key: replaced(value, values) for key, value in node.items()}
        case list():
            return [replaced(item, values) for item in node]
    return node


def lint(folder: Path, **templates: Mapping[str, Any]) -> set[tuple[str, str]]:
    """Return the errors that cfn-lint finds in templates, each as a template's name and the rule.

    Its warnings say that a value is not a parameter.
    """
    paths = {str(folder / f"{name}.json"): name for name in templates}
    for path, name in paths.items():
        Path(path).write_text(json.dumps(templates[name]))
    cfn_lint = Path(sys.executable).with_name("cfn-lint")
    result = subprocess.run(
        [cfn_lint, "--regions", REGION, "--ignore-checks", "W", "--format", "json", "--", *paths],
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.stderr == ""
    return {(paths[one["Filename"]], one["Rule"]["Id"]) for one in json.loads(result.stdout)}
