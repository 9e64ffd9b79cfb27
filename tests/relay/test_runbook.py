"""The relay logs what docs/operations.md tells its reader to look for."""

from __future__ import annotations

from functools import partial

import pytest

from tests.support.relay_site import Site
from tests.support.runbook import logged_text, texts_to_look_for
from tests.support.scripted_topic import ScriptedTopic, item
from tests.support.waiting import wait_until
from tests.support.webhook_server import Reply


def test_the_relay_logs_what_the_runbook_searches_for(site: Site, caplog: pytest.LogCaptureFixture) -> None:
    def logs(*texts: str) -> bool:
        return all(text in logged_text(list(caplog.records)) for text in texts)

    address = site.environment["MOMENTO_LOCAL"]
    server = ScriptedTopic([item(5), item(9)]).serve(site)
    running = site.start(silence=1)
    wait_until(lambda: logs("dropped messages", "the stream is silent"))
    running.stop()
    server.stop(None)

    site.environment["MOMENTO_LOCAL"] = address
    site.momento.admin("/fail", rpcs="topic-subscribe", error="permission-denied", count=1)
    site.webhook.answer = lambda _request: 503
    running = site.start()
    site.momento.publish("one")
    wait_until(lambda: logs("Momento refuses the subscription", "not delivered yet"))
    site.webhook.answer = lambda _request: Reply(403, {"x-amzn-ErrorType": "AccessDeniedException"})
    wait_until(lambda: logs("something in front of the webhook refuses calls"))
    site.momento.admin("/block")
    wait_until(lambda: logs("the stream broke"))
    site.shut_aws()
    site.webhook.answer = lambda _request: 400
    wait_until(lambda: logs("the dead-letter queue fails", "the lease cannot be renewed"))
    site.open_aws()
    site.momento.admin("/unblock")
    running.stop()

    site.webhook.answer = lambda _request: 503
    running = site.start(patience_with_lane=0, max_messages_behind=0)
    site.aws.troubles["SendMessage"] = "fail"
    site.momento.publish("two", "three")
    wait_until(lambda: logs("the spill queue fails"))
    running.stop()
    assert logs("not all that is in hand is safe")
    site.shut_aws()
    running = site.start()
    wait_until(lambda: logs("the lease cannot be asked for"))
    site.open_aws()
    running.stop()

    site.webhook.clock_error = 600
    site.webhook.answer = lambda _request: 403
    running = site.start()
    site.momento.publish("four")
    wait_until(lambda: logs("the webhook has another time"))
    running.stop()
    for name, value, text in (
        ("WEBHOOK_URL", "http://127.0.0.1:9/", "the webhook was not reached"),
        ("WEBHOOK_SIGNING_SECRET", "missing", "the signing secret cannot be read"),
        ("MOMENTO_API_KEY_SECRET", "missing", "the API key cannot be used"),
    ):
        site.environment[name] = value
        running = site.start()
        wait_until(partial(logs, text))
        running.stop()

    logged = logged_text(caplog.records)
    assert {text for text in texts_to_look_for("RelayLogs") if text not in logged} == set()
