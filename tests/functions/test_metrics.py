"""The functions write the metrics that the alarms and the dashboard watch."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest

from tests.support.functions import Function
from tests.support.momento import Momento
from tests.support.sample_events import sample_event
from tests.support.watched_metrics import metrics_environment, watched_metrics, written_metrics
from tests.support.webhook_requests import comment, signed


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
    spilled = {
        "messageId": "1",
        "receiptHandle": "1",
        "body": json.dumps(message),
        "attributes": {"ApproximateReceiveCount": "1"},
    }
    momento.admin("/fail", rpcs="list-push-front", error="internal", when="after")
    without_queue(signed(comment("metrics")))
    webhook(signed(message))
    webhook({"Records": [spilled | {"body": json.dumps(comment("metrics"))}]})
    momento.admin("/clear-faults")
    webhook({"Records": [spilled, spilled]})
    event = comment("metrics", topic="event", text=json.dumps({"type": "order", "detail": {}}))
    webhook({"Records": [spilled | {"body": json.dumps(event)}]})
    assert watched_metrics("WebhookFunction") <= written_metrics(capsys.readouterr().out)
