"""The relay writes the metrics that the alarms and the dashboard watch."""

from __future__ import annotations

import itertools
import signal
import subprocess

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
    site.webhook.wait_for(lambda: "1099" in site.webhook.taken)
    site.momento.reset_topic()
    site.momento.publish("first of the next page")
    site.webhook.wait_for(lambda: "first of the next page" in site.webhook.taken)
    site.momento.admin("/block")
    site.momento.admin("/unblock")
    site.momento.publish("after the break")
    site.webhook.wait_for(lambda: "after the break" in site.webhook.taken)
    site.momento.publish("spilled", publisher="jordan")
    site.momento.publish(*[b"passed over"] * 501, "after that")
    site.webhook.wait_for(lambda: "after that" in site.webhook.taken)
    output += stopped(second)
    written = written_metrics(output)
    assert watched_metrics("RelayFunction") <= written
    assert {"RelayDeliveryTime", "RelayLanes", "RelayOldestMessageSeconds"} <= {one.name for one in written}


def stopped(process: subprocess.Popen[str]) -> str:
    """Ends a relay, and returns what it has written."""
    process.send_signal(signal.SIGTERM)
    output, _ = process.communicate(timeout=SECONDS)
    return output
