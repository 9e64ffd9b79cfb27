"""`python -m relay`: killed, stopped, and what it writes."""

from __future__ import annotations

import json
import signal
import threading
from typing import Any

from tests.support.metric_values import metric_values
from tests.support.relay_site import Site
from tests.support.waiting import SECONDS, wait_until


def lines(output: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in output.splitlines()]


def test_a_killed_relay_loses_nothing(site: Site) -> None:
    process = site.start_process()
    texts = [str(number) for number in range(400)]
    publishing = threading.Thread(target=site.momento.publish, args=texts)
    publishing.start()
    site.webhook.wait_for(lambda: len(site.webhook.taken) >= 150)
    process.kill()
    process.wait()
    publishing.join()
    assert len(site.webhook.taken) < 400

    running = site.start(lease=0.5)
    site.webhook.wait_for(lambda: texts[-1] in site.webhook.taken)
    assert list(dict.fromkeys(site.webhook.taken)) == texts
    assert running.stop()["discontinuities"] == 0


def test_a_stopped_relay_saves_its_position_and_releases_the_lease(site: Site) -> None:
    for stop_signal, text in ((signal.SIGTERM, "one"), (signal.SIGINT, "two")):
        process = site.start_process()
        site.momento.publish(text)
        site.webhook.wait_for_text(text)
        process.send_signal(stop_signal)
        _, errors = process.communicate(timeout=SECONDS)
        assert process.returncode == 0, errors
        assert "holder" not in site.item()
    assert site.webhook.taken == ["one", "two"]
    assert site.saved() == 2


def test_a_waiting_relay_stops_as_well(site: Site) -> None:
    working = site.start()
    wait_until(lambda: "holder" in site.item())
    process = site.start_process()
    assert process.stdout is not None
    assert "another relay has the lease" in process.stdout.readline()
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=SECONDS)
    assert process.returncode == 0
    assert working.stop()["status"] == "relayed"


def test_metrics_are_written_while_it_works(site: Site) -> None:
    """The first report comes at once: a collector would take a silent relay for dead."""
    process = site.start_process(PYTHONUNBUFFERED="")
    assert process.stdout is not None
    too_late = threading.Timer(SECONDS, process.kill)
    too_late.start()
    reports = (line for line in iter(process.stdout.readline, "") if "RelayLagSeconds" in line)
    assert next(reports, None)
    assert next(reports, None)  # The first one may have been pushed out by the log.
    too_late.cancel()


def test_nothing_secret_or_personal_is_written(site: Site) -> None:
    statuses = iter([503, 200, 400, 403, 200])
    site.webhook.answer = lambda _request: next(statuses, 200)
    process = site.start_process(POWERTOOLS_LOG_LEVEL="DEBUG")
    site.momento.publish("private-text", "refused-text", "forbidden-text", b"binary-text", publisher="taylor")
    site.webhook.wait_for(lambda: len(site.webhook.taken) == 2)
    site.momento.admin("/block")
    site.momento.admin("/unblock")
    site.momento.publish("later-text", publisher="taylor")
    site.webhook.wait_for(lambda: len(site.webhook.taken) == 3)
    process.send_signal(signal.SIGTERM)
    output, errors = process.communicate(timeout=SECONDS)

    signatures = [request.headers["momento-signature"] for request in site.webhook.requests]
    for secret in ("-text", "taylor", site.momento.server.api_key, "the-signing-secret", *signatures):
        assert secret not in output + errors
    expected = {"RelayDelivered": 3, "RelayRetries": 2, "RelayRefused": 1, "RelayReconnects": 1}
    assert {name: sum(metric_values(output, name)) for name in expected} == expected
    assert max(metric_values(output, "RelayLagSeconds")) >= 0
    assert {line["service"] for line in lines(output)} == {"relay"}
