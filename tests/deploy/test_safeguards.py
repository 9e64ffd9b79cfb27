"""The values in the template that protect data or raise alarms."""

from __future__ import annotations

from typing import Any

import pytest

from tests.support.translated_template import ALARM, OTHERS, TranslatedTemplate

PARAMETERS = OTHERS | {
    "AlarmEmail": "someone@example.com",
    "LogRetentionDays": "7",
    "SpillTries": "123",
    "TokenRateLimit": "11",
    "TokenBurstLimit": "22",
}
FOURTEEN_DAYS = 14 * 24 * 3600

PROPERTIES: dict[str, dict[str, Any]] = {
    "SpillQueue": {
        "SqsManagedSseEnabled": True,
        "MessageRetentionPeriod": FOURTEEN_DAYS,
        "RedrivePolicy.deadLetterTargetArn": "DeadLetterQueue.Arn",
        "RedrivePolicy.maxReceiveCount": "123",
    },
    "DeadLetterQueue": {"SqsManagedSseEnabled": True, "MessageRetentionPeriod": FOURTEEN_DAYS},
    "UnpublishedEvents": {"SqsManagedSseEnabled": True, "MessageRetentionPeriod": FOURTEEN_DAYS},
    "WebhookFunctionSpilledMessages": {
        "BatchSize": 1,
        "FunctionResponseTypes": ["ReportBatchItemFailures"],
        "ScalingConfig.MaximumConcurrency": 5,
    },
    "IdempotencyTable": {"TimeToLiveSpecification": {"AttributeName": "expiration", "Enabled": True}},
    "PublisherFunctionEventInvokeConfig": {
        "MaximumRetryAttempts": 2,
        "MaximumEventAgeInSeconds": 300,
        "DestinationConfig.OnFailure.Destination": "UnpublishedEvents.Arn",
    },
    "RelayFunctionEventInvokeConfig": {"MaximumRetryAttempts": 0, "MaximumEventAgeInSeconds": 60},
    "RelayFunctionEveryMinute": {"ScheduleExpression": "rate(1 minute)"},
    "TokenVendorFunction": {"Timeout": 10},
    "PublisherFunction": {"Timeout": 30},
    "WebhookFunction": {"Timeout": 5},
    "RelayFunction": {"Timeout": 900},
    "UserPool": {
        "UsernameConfiguration": {"CaseSensitive": False},
        "AutoVerifiedAttributes": ["email"],
        "AccountRecoverySetting.RecoveryMechanisms": [{"Name": "verified_email", "Priority": 1}],
        "AdminCreateUserConfig.AllowAdminCreateUserOnly": True,
        "Policies.PasswordPolicy.MinimumLength": 12,
    },
    "UserPoolClient": {"PreventUserExistenceErrors": "ENABLED", "GenerateSecret": False},
    "TokenApi": {
        "Body.paths./token.post.security": [{"VerifiedIdentity": []}],
        "Body.x-amazon-apigateway-cors.exposeHeaders": ["retry-after"],
        "Body.x-amazon-apigateway-cors.allowHeaders": ["authorization", "content-type"],
        "Body.x-amazon-apigateway-cors.allowMethods": ["POST"],
    },
    "TokenApiApiGatewayDefaultStage": {
        "DefaultRouteSettings.ThrottlingRateLimit": "11",
        "DefaultRouteSettings.ThrottlingBurstLimit": "22",
        "AccessLogSettings.DestinationArn": "TokenApiLogs.Arn",
    },
    "AlarmTopic": {"Subscription": [{"Protocol": "email", "Endpoint": "someone@example.com"}]},
}
"""The required value of each property of a resource, by path."""

DELETION = {
    "UserPool": ("RetainExceptOnCreate", "Retain"),
    "UserPoolClient": ("Delete", "Delete"),
    "IdempotencyTable": ("Delete", "Delete"),
    "RelayTable": ("Delete", "Delete"),
}
"""What happens to a resource when it is removed from the stack, and when it is replaced."""

ALARMS = {
    # name: metric, statistic, period in s, periods, datapoints to alarm, comparison, threshold, missing data
    "DeadLettersAlarm": ("ApproximateNumberOfMessagesVisible", "Maximum", 60, 1, 1, ">=", 1, "ignore"),
    "UnpublishedEventsAlarm": ("ApproximateNumberOfMessagesVisible", "Maximum", 60, 1, 1, ">=", 1, "ignore"),
    "LostMessagesAlarm": ("WebhookStatus503", "Sum", 60, 1, 1, ">=", 1, "notBreaching"),
    "DiscontinuitiesAlarm": ("RelayDiscontinuities", "Sum", 60, 1, 1, ">=", 1, "notBreaching"),
    "RelayBehindAlarm": ("RelayLagSeconds", "Maximum", 60, 3, 3, ">", 60, "breaching"),
    "WaitingMessagesAlarm": ("SUM(METRICS())", "Maximum", 60, 15, 12, ">=", 1, "notBreaching"),
    "SpillsAlarm": ("WebhookStatus202", "Sum", 300, 1, 1, ">=", 10, "notBreaching"),
    "SignatureFailuresAlarm": ("WebhookStatus403", "Sum", 300, 1, 1, ">=", 5, "notBreaching"),
    "TokenFailuresAlarm": ("5xx", "Sum", 300, 1, 1, ">=", 5, "notBreaching"),
    "MintingLimitAlarm": ("MintingLimitReached", "Sum", 300, 2, 2, ">=", 10, "notBreaching"),
    "PublishFailuresAlarm": ("MessagesFailed", "Sum", 300, 1, 1, ">=", 1, "notBreaching"),
    "FunctionErrorsAlarm": ("SUM(METRICS())", "Sum", 300, 1, 1, ">=", 1, "notBreaching"),
    "ThrottlesAlarm": ("SUM(METRICS())", "Sum", 300, 1, 1, ">=", 1, "notBreaching"),
}
COMPARISONS = {"GreaterThanOrEqualToThreshold": ">=", "GreaterThanThreshold": ">"}
WATCHED_QUEUES = {
    "DeadLettersAlarm": {("ApproximateNumberOfMessagesVisible", "DeadLetterQueue.QueueName")},
    "UnpublishedEventsAlarm": {("ApproximateNumberOfMessagesVisible", "UnpublishedEvents.QueueName")},
    "WaitingMessagesAlarm": {
        ("ApproximateNumberOfMessagesVisible", "SpillQueue.QueueName"),
        ("ApproximateNumberOfMessagesDelayed", "SpillQueue.QueueName"),
        ("ApproximateNumberOfMessagesNotVisible", "SpillQueue.QueueName"),
    },
}
ALSO_SAY_WHEN_IT_IS_OVER = {
    "DeadLettersAlarm",
    "RelayBehindAlarm",
    "UnpublishedEventsAlarm",
    "WaitingMessagesAlarm",
}


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> TranslatedTemplate:
    return TranslatedTemplate(tmp_path_factory.mktemp("translated"), PARAMETERS)


def value_at(properties: Any, path: str) -> Any:
    """Return the value at a path of names that are separated by dots."""
    for name in path.split("."):
        properties = properties[name]
    return properties


@pytest.mark.parametrize("name", PROPERTIES)
def test_a_resource_has_the_properties_that_protect_data(template: TranslatedTemplate, name: str) -> None:
    properties = template.properties(name)
    assert {path: value_at(properties, path) for path in PROPERTIES[name]} == PROPERTIES[name]


def test_every_queue_is_in_the_table(template: TranslatedTemplate) -> None:
    assert template.names("AWS::SQS::Queue") <= PROPERTIES.keys()


def test_the_spill_queue_hides_a_message_for_six_times_the_webhooks_timeout(
    template: TranslatedTemplate,
) -> None:
    timeout = template.properties("WebhookFunction")["Timeout"]
    assert template.properties("SpillQueue")["VisibilityTimeout"] >= 6 * timeout


def test_only_data_that_can_be_recreated_is_deleted_with_the_stack(template: TranslatedTemplate) -> None:
    of_data = template.names("AWS::DynamoDB::Table") | template.names("AWS::Cognito::UserPool")
    assert of_data <= DELETION.keys()
    for name, policies in DELETION.items():
        resource = template.resources[name]
        assert (resource["DeletionPolicy"], resource["UpdateReplacePolicy"]) == policies


def test_logs_are_kept_for_the_configured_time(template: TranslatedTemplate) -> None:
    groups = template.names("AWS::Logs::LogGroup")
    assert {template.properties(name)["RetentionInDays"] for name in groups} == {"7"}
    functions = [template.properties(name) for name in template.names("AWS::Lambda::Function")]
    used = {function["LoggingConfig"]["LogGroup"] for function in functions}
    assert used | {"TokenApiLogs"} == groups
    assert len(used) == len(functions)


def test_the_stack_does_not_show_the_api_key(template: TranslatedTemplate) -> None:
    assert template.parameter_declarations["MomentoApiKey"]["NoEcho"] is True
    key = PARAMETERS["MomentoApiKey"]
    assert {name for name in template.resources if key in _texts(template.properties(name))} == {
        "MomentoApiKeySecret"
    }


def test_a_message_is_remembered_for_longer_than_it_may_be_replayed(template: TranslatedTemplate) -> None:
    limits = template.parameter_declarations
    assert limits["IdempotencyTtlSeconds"]["MinValue"] >= 2 * limits["ReplayWindowSeconds"]["MaxValue"]
    assert limits["ReplayWindowSeconds"]["Default"] == 60


def test_every_alarm_is_in_the_table(template: TranslatedTemplate) -> None:
    assert template.names(ALARM) == ALARMS.keys()


@pytest.mark.parametrize("name", ALARMS)
def test_an_alarm_has_its_metric_period_and_threshold(template: TranslatedTemplate, name: str) -> None:
    alarm = template.properties(name)
    measured = [metric["MetricStat"] for metric in alarm.get("Metrics", []) if "MetricStat" in metric]
    expressions = [metric["Expression"] for metric in alarm.get("Metrics", []) if "Expression" in metric]
    periods = alarm["EvaluationPeriods"]
    [statistic] = {metric["Stat"] for metric in measured} or {alarm["Statistic"]}
    [seconds] = {metric["Period"] for metric in measured} or {alarm["Period"]}
    assert ALARMS[name] == (
        *(expressions or [alarm["MetricName"]]),
        statistic,
        seconds,
        periods,
        alarm.get("DatapointsToAlarm", periods),
        COMPARISONS[alarm["ComparisonOperator"]],
        alarm["Threshold"],
        alarm["TreatMissingData"],
    )
    assert alarm.get("ActionsEnabled", True)
    assert alarm["AlarmActions"] == ["AlarmTopic"]
    assert alarm.get("OKActions") == (["AlarmTopic"] if name in ALSO_SAY_WHEN_IT_IS_OVER else None)


@pytest.mark.parametrize("name", WATCHED_QUEUES)
def test_an_alarm_of_a_queue_watches_that_queue(template: TranslatedTemplate, name: str) -> None:
    alarm = template.properties(name)
    metrics = [
        metric["MetricStat"]["Metric"] for metric in alarm.get("Metrics", []) if "MetricStat" in metric
    ]
    watched = {
        (metric["MetricName"], dimension["Value"])
        for metric in metrics or [alarm]
        for dimension in metric["Dimensions"]
    }
    assert watched == WATCHED_QUEUES[name]


def _texts(value: Any) -> set[str]:
    """Return all texts in a value."""
    match value:
        case dict():
            return {text for inner in value.values() for text in _texts(inner)}
        case list():
            return {text for inner in value for text in _texts(inner)}
    return {str(value)}
