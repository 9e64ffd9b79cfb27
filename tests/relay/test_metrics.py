"""The relay writes the metrics that the alarms and the dashboard watch."""

from __future__ import annotations

import importlib
import itertools
import signal
import subprocess

from tests.support.metric_values import Metrics
from tests.support.relay_site import Site
from tests.support.waiting import SECONDS
from tests.support.watched_metrics import metrics_environment, watched_metrics, written_metrics


def test_the_relays_metrics(site: Site) -> None:
    environment = metrics_environment("RelayFunction")
    statuses = itertools.chain([503, 200, 400], itertools.repeat(200))
    site.webhook.answer = lambda one: 503 if one.text == "spilled" else next(statuses)
    site.momento.publish("stored", "refused")
    first = site.start_process(**environment)
    site.webhook.wait_for(lambda: len(site.webhook.requests) == 3)
    output = stopped(first)

    site.momento.publish(*(str(number) for number in range(1100)))
    second = site.start_process(**environment, POWERTOOLS_LOG_LEVEL="INFO")  # The pipe is read at the end.
    site.webhook.wait_for_text("1099")
    site.momento.reset_topic()
    site.momento.publish("first of the next page")
    site.webhook.wait_for_text("first of the next page")
    site.momento.admin("/block")
    site.momento.admin("/unblock")
    site.momento.publish("after the break")
    site.webhook.wait_for_text("after the break")
    site.momento.publish("spilled", publisher="jordan")
    site.momento.publish(*[b"passed over"] * 501, "after that")
    site.webhook.wait_for_text("after that")
    output += stopped(second)
    written = written_metrics(output)
    assert watched_metrics("RelayFunction") <= written
    assert {"RelayDeliveryTime", "RelayLanes", "RelayOldestMessageSeconds"} <= {one.name for one in written}


def stopped(process: subprocess.Popen[str]) -> str:
    """End a relay, and return what it has written."""
    process.send_signal(signal.SIGTERM)
    output, _ = process.communicate(timeout=SECONDS)
    return output


def test_a_report_has_new_counts_and_a_sample_of_the_delivery_times(
    aws: dict[str, str], metrics: Metrics
) -> None:
    relay = importlib.import_module("relay.relay_metrics").RelayMetrics()
    relay.add("RelayRetries")
    relay.add("RelayRetries")
    relay.add("RelayMessagesMissed", 5)
    for _ in range(99):
        relay.add_delivered(0.25)
    for _ in range(9900):
        relay.add_delivered(2)
    relay.report(lag_seconds=3, oldest_seconds=2, lanes=4)
    relay.add("RelayRetries")
    relay.add_delivered(0.1234)
    relay.report(lag_seconds=0, oldest_seconds=0, lanes=0)

    assert metrics.values("RelayRetries") == [2, 1]
    assert metrics.values("RelayMessagesMissed") == [5]
    assert metrics.values("RelayDelivered") == [9999, 1]
    assert metrics.values("RelayLagSeconds") == [3, 0]
    assert metrics.values("RelayOldestMessageSeconds") == [2, 0]
    assert metrics.values("RelayLanes") == [4, 0]
    *sample, last = metrics.values("RelayDeliveryTime")
    assert last == 123.4
    assert len(sample) == 99
    assert set(sample) <= {250, 2000}
    assert sample.count(2000) > 80  # 98 on average
