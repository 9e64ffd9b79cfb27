"""The functions log what docs/operations.md tells its reader to look for."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any
from uuid import uuid4

import boto3
import pytest

from local.momento.auth import make_api_key
from tests.support.functions import Function
from tests.support.momento import Momento
from tests.support.runbook import log_groups, logged_text, texts_to_look_for
from tests.support.sample_events import sample_event
from tests.support.spill_queue import spilled_record
from tests.support.webhook_requests import comment, signed

NOWHERE = "http://127.0.0.1:9"


def test_the_runbook_searches_the_logs_of_functions() -> None:
    """Each is covered by a test: here, and the relay's beside the relay."""
    assert log_groups() == {"WebhookLogs", "TokenVendorLogs", "PublisherLogs", "RelayLogs"}


def test_the_webhook_logs_what_the_runbook_searches_for(
    load: Callable[..., Function],
    momento: Momento,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    secret: Callable[[str], str],
) -> None:
    webhook = load("webhook")
    for trouble in refused_requests():
        webhook(trouble)
    momento.admin("/fail", rpcs="list-push-front", error="resource-exhausted", count=1)
    webhook(signed(comment("runbook")))
    momento.admin("/delay", rpcs="list-push-front", ms=3000, count=1)
    webhook(signed(comment("runbook")))
    momento.admin("/block")
    webhook(signed(comment("runbook")))
    momento.admin("/unblock")
    load("webhook", CACHE_NAME="missing")(signed(comment("runbook", cache="missing")))
    wrong_key = secret(make_api_key())
    load("webhook", MOMENTO_API_KEY_SECRET=wrong_key)(signed(comment("runbook")))
    load("webhook", AWS_ENDPOINT_URL_DYNAMODB=NOWHERE)(signed(comment("runbook")))
    webhook({"Records": [spilled_record("no JSON")]})

    event = comment("", topic="event", text=json.dumps({"type": "order", "detail": {}}))
    with monkeypatch.context() as patch:
        patch.setenv("AWS_ENDPOINT_URL_EVENTBRIDGE", NOWHERE)
        load("webhook", TOPICS="event", EVENT_BUS_NAME="bus")(signed(event))
    momento.admin("/fail", rpcs="list-push-front", error="internal")
    with monkeypatch.context() as patch:
        patch.setenv("AWS_ENDPOINT_URL_SQS", NOWHERE)
        load("webhook")(signed(comment("runbook")))
    with monkeypatch.context() as patch:
        patch.setenv("AWS_ENDPOINT_URL_SECRETS_MANAGER", NOWHERE)
        load("webhook")(signed(comment("runbook")))
    assert missing("WebhookLogs", caplog) == set()


def test_the_token_vendor_logs_what_the_runbook_searches_for(
    load: Callable[..., Function], momento: Momento, caplog: pytest.LogCaptureFixture
) -> None:
    event = sample_event("token_vendor/200_signed_in.json")
    momento.admin("/fail", rpcs="generate-disposable-token", error="internal")
    load("token_vendor")(event)
    momento.admin("/clear-faults")
    momento.admin("/fail", rpcs="generate-disposable-token", error="resource-exhausted", count=1)
    load("token_vendor")(event)
    load("token_vendor", MOMENTO_API_KEY_SECRET="missing")(event)
    vendor = load("token_vendor")
    for course in range(11):
        vendor({**event, "body": json.dumps({"courseIds": [course]}), "isBase64Encoded": False})
    assert missing("TokenVendorLogs", caplog) == set()


def test_the_publisher_logs_what_the_runbook_searches_for(
    load: Callable[..., Function], momento: Momento, caplog: pytest.LogCaptureFixture
) -> None:
    momento.admin("/fail", rpcs="topic-publish", error="internal")
    load("publisher")(sample_event("publisher/published_1.json"))
    assert missing("PublisherLogs", caplog) == set()


def refused_requests() -> list[dict[str, Any]]:
    """Return requests that are signed wrongly, not at all, and long ago."""
    unsigned = signed(comment("runbook"))
    unsigned["headers"] = {}
    return [
        signed(comment("runbook"), sign_with="another"),
        unsigned,
        signed(comment("runbook", publish_timestamp=1)),
    ]


def missing(log_group: str, caplog: pytest.LogCaptureFixture) -> set[str]:
    """Return what the runbook looks for in a log group and nothing has logged."""
    logged = logged_text(caplog.records)
    return {text for text in texts_to_look_for(log_group) if text not in logged}


@pytest.fixture
def secret() -> Callable[[str], str]:
    """Make a secret with a value, and return its name."""

    def make(value: str) -> str:
        name = f"runbook-{uuid4().hex}"
        boto3.client("secretsmanager").create_secret(Name=name, SecretString=value)
        return name

    return make
