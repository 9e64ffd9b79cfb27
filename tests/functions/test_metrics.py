"""The functions write the metrics that the alarms and the dashboard watch."""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable
from typing import Any

import pytest

from tests.support.functions import Function
from tests.support.momento import Momento
from tests.support.sample_events import sample_event
from tests.support.spill_queue import spilled_record
from tests.support.watched_metrics import metrics_environment, watched_metrics, written_metrics
from tests.support.webhook_requests import comment, signed


def counted(output: str) -> dict[str, float]:
    """Return the sum of each metric that a function has written, except `ColdStart`."""
    sums: dict[str, float] = {}
    for line in output.splitlines():
        written = json.loads(line) if line.startswith("{") else {}
        for directive in written.get("_aws", {}).get("CloudWatchMetrics", []):
            for metric in directive["Metrics"]:
                sums[metric["Name"]] = sums.get(metric["Name"], 0) + sum(written[metric["Name"]])
    sums.pop("ColdStart", None)
    return sums


def test_the_token_vendors_metrics(
    load: Callable[..., Function], momento: Momento, capsys: pytest.CaptureFixture[str]
) -> None:
    environment = metrics_environment("TokenVendorFunction")
    vendor = load("token_vendor", **environment)
    without_key = load("token_vendor", **environment, MOMENTO_API_KEY_SECRET="missing")
    for sample in ("200_signed_in", "400_not_json", "401_no_verified_claims"):
        vendor(sample_event(f"token_vendor/{sample}.json"))
    with_courses = sample_event("token_vendor/200_with_courses.json")
    for error in ("resource-exhausted", "internal"):
        momento.admin("/fail", rpcs="generate-disposable-token", error=error)
        vendor(with_courses)
        momento.admin("/clear-faults")
    without_key(with_courses)
    load("token_vendor", **environment, COURSE_IDS_CLAIM="courses")(with_courses)
    assert watched_metrics("TokenVendorFunction") <= written_metrics(capsys.readouterr().out)


def test_the_publishers_metrics(load: Callable[..., Function], capsys: pytest.CaptureFixture[str]) -> None:
    publisher = load("publisher", **metrics_environment("PublisherFunction"))
    publisher(sample_event("publisher/published_1_failed_2.json"))
    with pytest.raises(ValueError, match="userId"):
        publisher(sample_event("publisher/error_no_user.json"))
    assert watched_metrics("PublisherFunction") <= written_metrics(capsys.readouterr().out)


def test_the_webhooks_metrics(
    load: Callable[..., Function],
    momento: Momento,
    environment: dict[str, str],
    all_topics: dict[str, str],
    capsys: pytest.CaptureFixture[str],
) -> None:
    names = metrics_environment("WebhookFunction")
    webhook = load("webhook", **names, **all_topics)
    without_queue = load("webhook", **names, SPILL_QUEUE_URL=environment["SPILL_QUEUE_URL"] + "-missing")
    for content in (comment("metrics"), b"no JSON", comment("metrics", token_id="")):
        webhook(signed(content))
    webhook(signed(comment("metrics"), sign_with="another"))

    message = comment("metrics")
    spilled = spilled_record(json.dumps(message))
    momento.admin("/fail", rpcs="list-push-front", error="internal", when="after")
    without_queue(signed(comment("metrics")))
    webhook(signed(message))
    webhook({"Records": [spilled_record(json.dumps(comment("metrics")))]})
    momento.admin("/clear-faults")
    webhook({"Records": [spilled, spilled]})
    event = comment("metrics", topic="event", text=json.dumps({"type": "order", "detail": {}}))
    webhook({"Records": [spilled_record(json.dumps(event))]})
    assert watched_metrics("WebhookFunction") <= written_metrics(capsys.readouterr().out)


def test_the_token_vendor_counts_each_request_once(
    load: Callable[..., Function], momento: Momento, capsys: pytest.CaptureFixture[str]
) -> None:
    vendor = load("token_vendor")
    vendor(sample_event("token_vendor/200_signed_in.json"))
    assert counted(capsys.readouterr().out) == {"TokenStatus200": 1}
    vendor(sample_event("token_vendor/401_no_verified_claims.json"))
    assert counted(capsys.readouterr().out) == {"TokenStatus401": 1}
    momento.admin("/fail", rpcs="generate-disposable-token", error="resource-exhausted")
    vendor(sample_event("token_vendor/200_with_courses.json"))
    assert counted(capsys.readouterr().out) == {"TokenStatus429": 1, "MintingLimitReached": 1}


def test_the_publisher_counts_each_message_once(
    load: Callable[..., Function], capsys: pytest.CaptureFixture[str]
) -> None:
    publisher = load("publisher")
    message = {"userId": "taylor", "courseId": 1, "comment": "well said"}
    publisher({"messages": [message, message, {}]})
    assert counted(capsys.readouterr().out) == {"MessagesPublished": 2, "MessagesFailed": 1}
    with pytest.raises(ValueError, match="userId"):
        publisher({})
    assert counted(capsys.readouterr().out) == {"EventsRefused": 1}


def test_the_webhook_counts_each_message_once(
    load: Callable[..., Function],
    momento: Momento,
    all_topics: dict[str, str],
    capsys: pytest.CaptureFixture[str],
) -> None:
    webhook = load("webhook", **all_topics)

    def count(event: dict[str, Any]) -> dict[str, float]:
        webhook(event)
        return counted(capsys.readouterr().out)

    def spilled(content: dict[str, Any]) -> dict[str, Any]:
        return {"Records": [spilled_record(json.dumps(content))]}

    message = comment(f"course-{uuid.uuid4()}")
    assert count(signed(message)) == {"WebhookStatus200": 1}
    assert count(signed(message, sign_with="another")) == {"WebhookStatus403": 1}
    assert count(spilled(message)) == {"SpilledMessagesDuplicate": 1}
    assert count(spilled(comment(f"course-{uuid.uuid4()}"))) == {"SpilledMessagesStored": 1}
    assert count(spilled({})) == {"SpilledMessagesFailed": 1}
    message = comment(f"course-{uuid.uuid4()}")
    momento.admin("/fail", rpcs="list-push-front", error="internal", when="after", count=1)
    assert count(signed(message)) == {"WebhookStatus202": 1}
    assert count(spilled(message)) == {"SpilledMessagesStored": 1, "MessagesFoundWritten": 1}
    event = comment("", topic="event", text=json.dumps({"type": "order", "detail": {}}))
    assert count(signed(event)) == {"WebhookStatus200": 1}
    event["topic_sequence_number"] += 1_000_000
    assert count(spilled(event)) == {"SpilledMessagesStored": 1, "MessagesActedOnAgain": 1}
