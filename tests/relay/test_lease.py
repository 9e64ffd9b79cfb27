"""One relay at a time, and always one."""

from __future__ import annotations

import importlib
import json
import threading
import time
import uuid
from typing import Any

import boto3
import pytest

from tests.support.functions import Context, as_a_new_process
from tests.support.project import SOURCE
from tests.support.relay_site import Site
from tests.support.waiting import wait_until
from tests.support.webhook_server import Reply, Request

BUSY = {"status": "busy"}
EVENT = json.loads((SOURCE.parent / "events" / "relay" / "busy.json").read_text())


def put_holder(site: Site) -> None:
    """Write a lease whose holder does not exist."""
    boto3.client("dynamodb").update_item(
        TableName=site.environment["RELAY_TABLE"],
        Key={"id": {"S": "relay"}},
        UpdateExpression="SET holder = :other, renewal = :other",
        ExpressionAttributeValues={":other": {"S": "another"}},
    )


def test_a_run_ends_if_another_one_holds_the_lease(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    working = site.start()
    wait_until(lambda: "holder" in site.item())
    holder = site.item()["holder"]

    assert site.handler(monkeypatch).lambda_handler(EVENT, Context(timeout=900)) == BUSY
    assert site.item()["holder"] == holder
    site.momento.publish("one")
    site.webhook.wait_for_taken("one")
    assert working.stop()["delivered"] == 1


def test_each_line_of_the_functions_log_names_its_request(
    site: Site, capsys: pytest.CaptureFixture[str]
) -> None:
    loggers_of_its_own = {"POWERTOOLS_SERVICE_NAME": str(uuid.uuid4())}  # They write here.
    with as_a_new_process(site.environment | loggers_of_its_own):
        handler = importlib.import_module("relay.handler")
        handler.lambda_handler(EVENT, Context(timeout=handler.settings.durations.stopping + 1))
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines() if line.startswith("{")]
    logged = {line["message"]: line for line in lines if "message" in line}
    assert {"relaying", "reading the topic", "relayed"} <= set(logged)
    assert {line.get("function_request_id") for line in logged.values()} == {"request"}


def test_a_run_ends_in_time_and_releases_the_lease(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    site.momento.publish("one", "two")
    handler = site.handler(monkeypatch)
    stopping = handler.settings.durations.stopping
    context = Context(timeout=stopping + 3)
    answer = handler.lambda_handler(EVENT, context)
    assert answer == {"status": "relayed", "delivered": 2, "refused": 0, "discontinuities": 0}
    assert stopping - 5 < context.get_remaining_time_in_millis() / 1000 < stopping + 0.1
    item = site.item()
    assert "holder" not in item
    assert site.saved() == 2


def test_a_run_that_ends_while_the_webhook_fails_leaves_the_message_to_the_next(site: Site) -> None:
    site.webhook.answer = lambda _request: 503
    site.momento.publish("one")
    assert site.start(seconds=1).result()["delivered"] == 0
    site.webhook.answer = lambda _request: 200
    site.start()
    site.webhook.wait_for_taken("one")


def test_the_next_run_waits_for_one_that_is_about_to_end(
    site: Site, caplog: pytest.LogCaptureFixture
) -> None:
    first = site.start(seconds=2)
    wait_until(lambda: site.item().get("ends_soon"))
    second = site.start(seconds=20)
    texts: list[str] = []
    while first.is_running():
        texts.append(str(len(texts)))
        site.momento.publish(texts[-1])
    site.momento.publish("last")

    site.webhook.wait_for_taken(*texts, "last")
    one, two = first.result(), second.stop()
    assert one["delivered"] > 0
    assert two["delivered"] > 0
    assert one["discontinuities"] == two["discontinuities"] == 0
    messages = [record.getMessage() for record in caplog.records]
    assert messages.count("another relay has the lease") == 1


def test_a_dead_holder_is_replaced(site: Site) -> None:
    site.momento.publish("one")
    put_holder(site)
    began = time.monotonic()
    site.start(seconds=20, lease=0.5)
    site.webhook.wait_for_taken("one")
    assert time.monotonic() - began >= 0.5


def test_only_one_relay_delivers(site: Site) -> None:
    texts = [str(number) for number in range(50)]
    all_of_them = [site.start(lease=20) for _ in range(4)]
    site.momento.publish(*texts)
    site.webhook.wait_for_taken(*texts)
    outcomes = [one.stop() for one in all_of_them]
    assert [one["delivered"] for one in outcomes if one["status"] == "relayed" and one["delivered"]] == [50]


def test_a_relay_that_lost_the_lease_delivers_no_more(site: Site) -> None:
    first = site.start(lease=20)
    site.momento.publish("one")
    site.webhook.wait_for_taken("one")
    site.wait_for_saved(1)
    put_holder(site)
    wait_until(lambda: site.momento.subscribers() == 0)
    site.momento.publish("two")
    second = site.start(lease=2)
    site.webhook.wait_for_taken("one", "two")
    assert first.stop()["delivered"] == 1
    assert second.stop()["delivered"] == 1


def test_the_relay_survives_an_outage_of_dynamodb_shorter_than_the_lease(site: Site) -> None:
    running = site.start(lease=10)
    site.momento.publish("one")
    site.webhook.wait_for_taken("one")
    site.wait_for_saved(1)
    site.shut_aws()
    site.momento.publish("two")
    site.webhook.wait_for_taken("one", "two")
    site.open_aws()
    site.wait_for_saved(2)
    assert running.stop()["delivered"] == 2


def test_a_lease_counts_from_before_the_request_for_it(site: Site) -> None:
    """Another run counts from the change of the item, which may be long before this run has its answer."""
    lease = importlib.import_module("relay.lease").Lease(site.settings(lease=20))
    lease.acquire()
    assert time.monotonic() + lease.seconds_left <= site.aws.last_call_at + 20


def test_a_lease_is_held_from_when_it_is_taken_until_it_is_released(site: Site) -> None:
    leases = importlib.import_module("relay.lease")
    first, second = leases.Lease(site.settings(lease=20)), leases.Lease(site.settings(lease=20))
    assert first.seconds_left <= 0
    assert first.acquire() is leases.Standing.HOLDS
    assert 15 < first.seconds_left <= 20
    assert second.acquire() is leases.Standing.WAITS
    assert second.seconds_left <= 0
    first.release({})
    assert first.seconds_left <= 0
    assert second.acquire() is leases.Standing.HOLDS


def test_a_bookmark_is_read_as_it_was_saved(site: Site) -> None:
    leases = importlib.import_module("relay.lease")
    position = importlib.import_module("relay.message").Position(7, 12)
    bookmark = importlib.import_module("relay.backlog").Bookmark(position, 1_234_567.125, 1_234_568.875)
    first, second = leases.Lease(site.settings()), leases.Lease(site.settings())
    first.acquire()
    assert first.bookmark("comment") is None
    first.release({"comment": bookmark, "poll": None})
    second.acquire()
    assert second.bookmark("comment") == bookmark
    assert second.bookmark("poll") is None


@pytest.mark.parametrize(
    ("durations", "saves_a_new_position", "renews"),
    [
        ({"renewal": 100, "checkpoint": 0}, True, False),
        ({"renewal": 100, "checkpoint": 100}, False, False),
        ({"renewal": 0, "checkpoint": 100}, True, True),
    ],
)
def test_a_lease_is_written_only_when_a_renewal_or_a_checkpoint_is_due(
    site: Site, durations: dict[str, Any], *, saves_a_new_position: bool, renews: bool
) -> None:
    position = importlib.import_module("relay.message").Position(7, 12)
    bookmark = importlib.import_module("relay.backlog").Bookmark(position, 1.0, 2.0)
    lease = importlib.import_module("relay.lease").Lease(site.settings(lease=200, **durations))
    lease.acquire()
    site.aws.calls.clear()
    assert lease.keep({"comment": bookmark}, ends_soon=False) is True
    assert len(site.aws.calls) == saves_a_new_position
    site.aws.calls.clear()
    lease.keep({"comment": bookmark if saves_a_new_position else None}, ends_soon=False)
    assert len(site.aws.calls) == renews


def test_after_a_longer_outage_it_delivers_only_with_the_lease_again(site: Site) -> None:
    running = site.start(lease=1)
    site.momento.publish("one")
    site.webhook.wait_for_taken("one")
    site.wait_for_saved(1)
    site.shut_aws()
    wait_until(lambda: site.momento.subscribers() == 0)
    site.momento.publish("two")
    assert site.webhook.taken == ["one"]
    site.open_aws()
    site.webhook.wait_for_taken("one", "two")
    assert running.stop()["delivered"] == 2


def test_the_lease_is_renewed_while_a_delivery_takes_long(site: Site) -> None:
    is_over = threading.Event()
    site.webhook.answer = lambda _request: 200 if is_over.wait(20) else 500
    first = site.start(lease=1)
    site.momento.publish("one")
    wait_until(lambda: "holder" in site.item())
    holder = site.item()["holder"]
    waiting = site.start(lease=1)
    renewals = {site.item()["renewal"]}

    def has_renewed_often() -> bool:
        renewals.add(site.item()["renewal"])
        return len(renewals) > 15

    wait_until(has_renewed_often)
    assert site.item()["holder"] == holder
    assert waiting.is_running()  # It has no end, and so it waits for however long it takes.
    is_over.set()
    site.webhook.wait_for(lambda: site.webhook.taken)
    assert waiting.stop() == BUSY
    assert first.stop()["status"] == "relayed"


def test_a_run_of_a_newer_version_takes_over_at_once(site: Site) -> None:
    old = site.start(seconds=900, lease=20)
    site.momento.publish("one")
    site.webhook.wait_for_taken("one")
    site.environment["RELAY_CONCURRENCY"] = "3"
    new = site.start(seconds=900, lease=20)
    assert old.result() == {"status": "relayed", "delivered": 1, "refused": 0, "discontinuities": 0}
    site.momento.publish("two")
    site.webhook.wait_for_taken("one", "two")
    assert new.stop()["delivered"] == 1


def test_an_older_version_does_not_take_over(site: Site) -> None:
    """It was started first, and has waited all the time, as a process does."""
    holding = site.start(lease=20)
    wait_until(lambda: "holder" in site.item())
    waiting = site.start(lease=20)
    wait_until(lambda: site.item()["runs_started"] == "2")
    site.environment["RELAY_CONCURRENCY"] = "3"
    new = site.start(lease=20)
    wait_until(lambda: site.item().get("holder_number") == "3")
    renewals: set[str] = set()

    def has_renewed_often() -> bool:
        renewals.add(site.item()["renewal"])
        return len(renewals) > 10

    wait_until(has_renewed_often)
    assert site.item()["holder_number"] == "3"
    assert "asked_holder" not in site.item()
    site.momento.publish("one")
    site.webhook.wait_for_taken("one")
    assert new.stop()["delivered"] == 1
    assert waiting.stop()["status"] in {"busy", "relayed"}
    assert holding.stop()["status"] == "relayed"


def test_changed_parameters_make_no_dead_letters(site: Site) -> None:
    """The webhook has the new ones at once. It refuses what the relay with the old ones delivers."""
    cache = "course-comments"

    def answer(request: Request) -> int | Reply:
        if request.fields["topic"] in topics:
            return 200
        return Reply(400, {}, b'{"message": "Bad request: this webhook is not for that cache and topic"}')

    topics = {"comment", "poll"}
    site.webhook.answer = answer
    site.environment["TOPICS"] = "comment,poll"
    old = site.start(seconds=900, lease=20)
    site.momento.publish("one", topic="poll")
    site.webhook.wait_for_taken("one")

    topics = {"comment", "chat"}
    site.momento.publish("two", topic="poll")
    site.webhook.wait_for(lambda: len(site.webhook.requests) > 1)
    site.environment["TOPICS"] = "comment,chat"
    new = site.start(seconds=900, lease=20)
    assert old.result()["refused"] == 0
    site.momento.publish("three", topic="chat")
    site.webhook.wait_for_taken("one", "three")
    assert new.stop()["refused"] == 0
    assert site.dead_letters() == []
    assert set(site.item()["bookmarks"]) == {f"{cache}/poll", f"{cache}/chat"}


def test_a_refusal_for_other_parameters_that_lasts_becomes_a_dead_letter(site: Site) -> None:
    refusal = Reply(400, {}, b'{"message": "Bad request: this webhook is not for that cache and topic"}')
    site.webhook.answer = lambda _request: refusal
    running = site.start(deploy=0.5)
    site.momento.publish("one")
    site.wait_for_saved(1)
    assert running.stop()["refused"] == 1
    assert [one["text"] for one in site.dead_letters()] == ["one"]
