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
from tests.support.translated_template import ALARM, OTHERS, PUBLISHED, TranslatedTemplate

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
def template(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> TranslatedTemplate:
    return TranslatedTemplate(tmp_path_factory.mktemp("translated"), request.param)


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
            *("--", TranslatedTemplate(tmp_path, COMBINATIONS[0]).path),
        ],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (lint.returncode, lint.stdout, lint.stderr) == (0, "", "")


def test_existing_resources_refer_only_to_existing_resources(template: TranslatedTemplate) -> None:
    for logical_id, resource in template.resources.items():
        template.properties(logical_id)
        depends_on = resource.get("DependsOn", [])
        assert set([depends_on] if isinstance(depends_on, str) else depends_on) <= set(template.resources)
    assert all(template.outputs().values())


def test_the_token_api_accepts_the_stacks_own_or_the_given_issuer(template: TranslatedTemplate) -> None:
    api = template.properties("TokenApi")["Body"]
    authorizer = api["components"]["securitySchemes"]["VerifiedIdentity"]["x-amazon-apigateway-authorizer"]
    accepted = authorizer["jwtConfiguration"]
    has_own_pool = template.conditions["OwnUserPool"]
    assert has_own_pool == ("UserPool" in template.resources) == ("UserPoolId" in template.outputs())
    if has_own_pool:
        issuer = f"https://cognito-idp.{REGION}.amazonaws.com/UserPool"
        assert accepted == {"issuer": issuer, "audience": ["UserPoolClient"]}
        sign_up = template.properties("UserPool")["AdminCreateUserConfig"]
        assert sign_up == {"AllowAdminCreateUserOnly": template.conditions["AdminsCreateUsers"]}
    else:
        assert accepted == {"issuer": "https://issuer.example.com", "audience": ["one", "two"]}


def test_each_allowed_origin_may_call_the_token_api(template: TranslatedTemplate) -> None:
    cors = template.properties("TokenApi")["Body"]["x-amazon-apigateway-cors"]
    assert cors["allowOrigins"] == ["https://one.example.com", "https://two.example.com"]


def test_only_the_webhook_and_the_relay_have_the_signing_secret(template: TranslatedTemplate) -> None:
    secret = template.properties("SigningSecret")
    assert "SecretString" not in secret
    assert secret["GenerateSecretString"]["PasswordLength"] >= 32
    functions = template.names("AWS::Lambda::Function")
    holders = {name for name in functions if "SigningSecret" in str(template.properties(name))}
    assert holders == {"WebhookFunction", "RelayFunction"} & functions


def test_messages_come_from_the_relay_or_from_momento(template: TranslatedTemplate) -> None:
    of_the_relay = {
        name for name, one in template.resources.items() if "RelayFunction" in str(one) or "Relay" in name
    }
    has_relay = template.conditions["WithRelay"]
    assert has_relay == ("RelayFunction" in template.resources)
    if not has_relay:
        assert of_the_relay <= {"FunctionErrorsAlarm", "ThrottlesAlarm", "Dashboard"}, "only under conditions"


def test_concurrency_is_reserved_if_configured(template: TranslatedTemplate) -> None:
    reserved = {
        name: template.properties(name).get("ReservedConcurrentExecutions")
        for name in ("TokenVendorFunction", "PublisherFunction", "WebhookFunction")
    }
    assert list(reserved.values()) in ([None] * 3, ["1", "2", "6"])


def test_alarms_watch_every_function_that_exists(template: TranslatedTemplate) -> None:
    functions = template.names("AWS::Lambda::Function")
    for name in ("FunctionErrorsAlarm", "ThrottlesAlarm"):
        watched = [
            dimension["Value"]
            for metric in template.properties(name)["Metrics"]
            if "MetricStat" in metric
            for dimension in metric["MetricStat"]["Metric"]["Dimensions"]
        ]
        assert sorted(watched) == sorted(functions)


def test_every_alarm_is_mailed_if_there_is_an_address(template: TranslatedTemplate) -> None:
    actions = {str(template.properties(name).get("AlarmActions")) for name in template.names(ALARM)}
    assert actions == {"['AlarmTopic']" if template.conditions["WithAlarmEmail"] else "None"}


def test_the_dashboard_shows_every_alarm(template: TranslatedTemplate) -> None:
    widgets = json.loads(template.properties("Dashboard")["DashboardBody"])["widgets"]
    [shown] = [widget["properties"]["alarms"] for widget in widgets if widget["type"] == "alarm"]
    assert sorted(shown) == sorted(f"{name}.Arn" for name in template.names(ALARM))


def test_callers_reach_the_published_version(template: TranslatedTemplate) -> None:
    """The token API, the function URL, the spill queue and services call the alias."""
    uri = template.properties("TokenApi")["Body"]["paths"]["/token"]["post"][
        "x-amazon-apigateway-integration"
    ]
    assert "TokenVendorFunctionAliaslive" in uri["uri"]
    assert template.properties("TokenVendorFunctionPostTokenPermission")["FunctionName"] == (
        "TokenVendorFunctionAliaslive"
    )
    assert template.properties("WebhookFunctionUrl")["TargetFunctionArn"] == "WebhookFunctionAliaslive"
    assert template.properties("WebhookFunctionSpilledMessages")["FunctionName"] == "WebhookFunctionAliaslive"
    assert template.outputs()["PublisherFunctionName"] == "PublisherFunction:live"
    for name in template.names("AWS::Lambda::Alias"):
        published = template.properties(name)["FunctionVersion"]
        assert published.removesuffix(".Version") in template.names("AWS::Lambda::Version")


def test_published_functions_start_from_snapshots_if_configured(template: TranslatedTemplate) -> None:
    apply_on = "PublishedVersions" if template.conditions["WithSnapStart"] else "None"
    for name in PUBLISHED:
        assert template.properties(name)["SnapStart"] == {"ApplyOn": apply_on}
    if "RelayFunction" in template.resources:
        assert "SnapStart" not in template.properties("RelayFunction")
