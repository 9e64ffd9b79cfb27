"""The template as SAM translates it for CloudFormation, in every combination of its conditions."""

from __future__ import annotations

import itertools
import json
import subprocess
import sys
from collections import ChainMap
from collections.abc import Mapping
from pathlib import Path

import pytest

from local.cloudformation.template import REGION, Template
from tests.support.project import ROOT
from tests.support.translated_template import ALARM, OTHERS, PUBLISHED, Stack

# Values of the parameters that decide the conditions.
DECIDING = [
    [{"JwtIssuer": ""}, {"JwtIssuer": "https://issuer.example.com"}],
    [{"SelfSignUp": "false"}, {"SelfSignUp": "true"}],
    [{"MessageSource": "relay"}, {"MessageSource": "momento-webhook"}],
    # These change together, because no two of them affect the same resource.
    [
        {"AlarmEmail": "", "SnapStart": "off", "Topics": "comment", "TokenIdClaim": ""},
        {
            "Topics": "comment,chat,event",
            "TokenIdClaim": "email",
            "AlarmEmail": "someone@example.com",
            "SnapStart": "on",
            "TokenVendorConcurrency": "1",
            "PublisherConcurrency": "2",
            "WebhookConcurrency": "6",
        },
    ],
]
COMBINATIONS = [dict(ChainMap(*values, OTHERS)) for values in itertools.product(*DECIDING)]


def _name(combination: Mapping[str, str]) -> str:
    return ",".join(f"{name}={combination[name]}" for [values, *_] in DECIDING for name in values)


@pytest.fixture(scope="module", params=COMBINATIONS, ids=_name)
def stack(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Stack:
    return Stack(tmp_path_factory.mktemp("translated"), request.param)


def test_every_condition_is_true_in_one_combination_and_false_in_another() -> None:
    templates = [Template.load(ROOT / "template.yaml", combination) for combination in COMBINATIONS]
    for name in templates[0].document["Conditions"].keys() - {"Never"}:
        outcomes = {template.condition(name) for template in templates}
        assert outcomes == {True, False}, f"extend DECIDING for {name}"


def test_cloudformation_lint_finds_nothing(tmp_path: Path) -> None:
    """cfn-lint tries all outcomes of the conditions by itself."""
    lint = subprocess.run(
        [
            Path(sys.executable).with_name("cfn-lint"),
            *("--regions", REGION),
            # SAM replaces some parameters by their values, after which they are unused.
            *("--ignore-checks", "W2001"),
            *("--", Stack(tmp_path, COMBINATIONS[0]).path),
        ],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (lint.returncode, lint.stdout, lint.stderr) == (0, "", "")


def test_existing_resources_refer_only_to_existing_resources(stack: Stack) -> None:
    for logical_id, resource in stack.resources.items():
        stack.properties(logical_id)
        depends_on = resource.get("DependsOn", [])
        assert set([depends_on] if isinstance(depends_on, str) else depends_on) <= set(stack.resources)
    assert all(stack.outputs().values())


def test_the_token_api_accepts_the_stacks_own_or_the_given_issuer(stack: Stack) -> None:
    api = stack.properties("TokenApi")["Body"]
    authorizer = api["components"]["securitySchemes"]["VerifiedIdentity"]["x-amazon-apigateway-authorizer"]
    accepted = authorizer["jwtConfiguration"]
    has_own_pool = stack.conditions["OwnUserPool"]
    assert has_own_pool == ("UserPool" in stack.resources) == ("UserPoolId" in stack.outputs())
    if has_own_pool:
        issuer = f"https://cognito-idp.{REGION}.amazonaws.com/UserPool"
        assert accepted == {"issuer": issuer, "audience": ["UserPoolClient"]}
        sign_up = stack.properties("UserPool")["AdminCreateUserConfig"]
        assert sign_up == {"AllowAdminCreateUserOnly": stack.conditions["AdminsCreateUsers"]}
    else:
        assert accepted == {"issuer": "https://issuer.example.com", "audience": ["one", "two"]}


def test_each_allowed_origin_may_call_the_token_api(stack: Stack) -> None:
    cors = stack.properties("TokenApi")["Body"]["x-amazon-apigateway-cors"]
    assert cors["allowOrigins"] == ["https://one.example.com", "https://two.example.com"]


def test_only_the_webhook_and_the_relay_have_the_signing_secret(stack: Stack) -> None:
    secret = stack.properties("SigningSecret")
    assert "SecretString" not in secret
    assert secret["GenerateSecretString"]["PasswordLength"] >= 32
    functions = stack.names("AWS::Lambda::Function")
    holders = {name for name in functions if "SigningSecret" in str(stack.properties(name))}
    assert holders == {"WebhookFunction", "RelayFunction"} & functions


def test_messages_come_from_the_relay_or_from_momento(stack: Stack) -> None:
    of_the_relay = {
        name for name, one in stack.resources.items() if "RelayFunction" in str(one) or "Relay" in name
    }
    has_relay = stack.conditions["WithRelay"]
    assert has_relay == ("RelayFunction" in stack.resources)
    if not has_relay:
        assert of_the_relay <= {"FunctionErrorsAlarm", "ThrottlesAlarm", "Dashboard"}, "only under conditions"


def test_concurrency_is_reserved_if_configured(stack: Stack) -> None:
    reserved = {
        name: stack.properties(name).get("ReservedConcurrentExecutions")
        for name in ("TokenVendorFunction", "PublisherFunction", "WebhookFunction")
    }
    assert list(reserved.values()) in ([None] * 3, ["1", "2", "6"])


def test_alarms_watch_every_function_that_exists(stack: Stack) -> None:
    functions = stack.names("AWS::Lambda::Function")
    for name in ("FunctionErrorsAlarm", "ThrottlesAlarm"):
        watched = [
            dimension["Value"]
            for metric in stack.properties(name)["Metrics"]
            if "MetricStat" in metric
            for dimension in metric["MetricStat"]["Metric"]["Dimensions"]
        ]
        assert sorted(watched) == sorted(functions)


def test_every_alarm_is_mailed_if_there_is_an_address(stack: Stack) -> None:
    actions = {str(stack.properties(name).get("AlarmActions")) for name in stack.names(ALARM)}
    assert actions == {"['AlarmTopic']" if stack.conditions["WithAlarmEmail"] else "None"}


def test_the_dashboard_shows_every_alarm(stack: Stack) -> None:
    widgets = json.loads(stack.properties("Dashboard")["DashboardBody"])["widgets"]
    [shown] = [widget["properties"]["alarms"] for widget in widgets if widget["type"] == "alarm"]
    assert sorted(shown) == sorted(f"{name}.Arn" for name in stack.names(ALARM))


def test_callers_reach_the_published_version(stack: Stack) -> None:
    """The token API, the function URL, the spill queue and services call the alias."""
    uri = stack.properties("TokenApi")["Body"]["paths"]["/token"]["post"]["x-amazon-apigateway-integration"]
    assert "TokenVendorFunctionAliaslive" in uri["uri"]
    assert stack.properties("TokenVendorFunctionPostTokenPermission")["FunctionName"] == (
        "TokenVendorFunctionAliaslive"
    )
    assert stack.properties("WebhookFunctionUrl")["TargetFunctionArn"] == "WebhookFunctionAliaslive"
    assert stack.properties("WebhookFunctionSpilledMessages")["FunctionName"] == "WebhookFunctionAliaslive"
    assert stack.outputs()["PublisherFunctionName"] == "PublisherFunction:live"
    for name in stack.names("AWS::Lambda::Alias"):
        published = stack.properties(name)["FunctionVersion"]
        assert published.removesuffix(".Version") in stack.names("AWS::Lambda::Version")


def test_published_functions_start_from_snapshots_if_configured(stack: Stack) -> None:
    apply_on = "PublishedVersions" if stack.conditions["WithSnapStart"] else "None"
    for name in PUBLISHED:
        assert stack.properties(name)["SnapStart"] == {"ApplyOn": apply_on}
    if "RelayFunction" in stack.resources:
        assert "SnapStart" not in stack.properties("RelayFunction")
