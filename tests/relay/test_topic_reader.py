"""What arrives from Momento, what is missing, and how it is found again."""

from __future__ import annotations

import time

import boto3
import pytest
from momento_wire_types import cachepubsub_pb2 as pubsub

from local.momento.auth import make_api_key
from tests.support.black_hole import black_hole
from tests.support.metric_values import Metrics
from tests.support.momento import CACHE, TOPIC
from tests.support.relay_site import Site
from tests.support.scripted_topic import ScriptedTopic, heartbeat, item
from tests.support.waiting import wait_until


def test_the_first_start_delivers_the_messages_that_momento_holds(site: Site) -> None:
    site.momento.publish("one", "two")
    running = site.start()
    site.webhook.wait_for_taken("one", "two")
    assert running.stop()["discontinuities"] == 0


def test_the_first_start_does_not_miss_messages_that_momento_no_longer_holds(site: Site) -> None:
    texts = [str(number) for number in range(1100)]
    site.momento.publish(*texts)
    running = site.start()
    site.webhook.wait_for_taken(*texts[100:])
    assert running.stop() == {"status": "relayed", "delivered": 1000, "refused": 0, "discontinuities": 0}


def test_messages_published_between_two_runs_are_delivered_later(site: Site) -> None:
    site.momento.publish("one")
    running = site.start()
    site.webhook.wait_for_taken("one")
    assert running.stop()["delivered"] == 1
    assert site.saved() == 1

    site.momento.publish("two", "three")
    running = site.start()
    site.webhook.wait_for_taken("one", "two", "three")
    assert running.stop() == {"status": "relayed", "delivered": 2, "refused": 0, "discontinuities": 0}


def test_messages_that_momento_dropped_are_counted(site: Site, metrics: Metrics) -> None:
    site.momento.publish("first")
    running = site.start()
    site.webhook.wait_for_taken("first")
    running.stop()

    texts = [str(number) for number in range(1100)]
    site.momento.publish(*texts)
    running = site.start()
    site.webhook.wait_for_taken("first", *texts[100:])
    assert running.stop()["discontinuities"] == 1
    assert metrics["RelayDiscontinuities"] == 1
    assert metrics["RelayMessagesMissed"] == 100


def test_a_topic_that_restarts_meanwhile_may_have_lost_messages(site: Site) -> None:
    site.momento.publish("one")
    running = site.start()
    site.webhook.wait_for_taken("one")
    running.stop()

    site.momento.reset_topic()
    site.momento.publish("two")
    running = site.start()
    site.webhook.wait_for_taken("one", "two")
    assert running.stop()["discontinuities"] == 1
    assert site.saved() == 1


def test_a_topic_that_restarts_under_its_reader_loses_none(site: Site, metrics: Metrics) -> None:
    running = site.start()
    site.momento.publish("one")
    site.webhook.wait_for_taken("one")
    site.momento.reset_topic()
    site.momento.publish("two")
    site.webhook.wait_for_taken("one", "two")
    assert running.stop()["discontinuities"] == 0

    pages = [request.fields["topic_sequence_page"] for request in site.webhook.requests]
    assert pages[0] < pages[1]
    assert metrics["RelayTopicRestarts"] == 1


def test_a_stuck_delivery_is_not_taken_for_silence_of_momento(site: Site, metrics: Metrics) -> None:
    stuck_until = time.monotonic() + 3
    site.webhook.answer = lambda _request: 200 if time.monotonic() > stuck_until else 503
    running = site.start(silence=1.5)
    texts = [str(number) for number in range(400)]
    site.momento.publish(*texts)
    site.webhook.wait_for_taken(*texts)
    assert running.stop()["discontinuities"] == 0
    assert metrics["RelayReconnects"] == 0


def test_the_relay_survives_an_outage_of_momento(site: Site, metrics: Metrics) -> None:
    running = site.start()
    site.momento.publish("one")
    site.webhook.wait_for_taken("one")
    site.momento.admin("/block")
    wait_until(lambda: max(metrics.values("RelayLagSeconds"), default=0) > 0.3)
    site.momento.admin("/unblock")
    site.momento.publish("two", "three")
    site.webhook.wait_for_taken("one", "two", "three")
    assert running.stop()["discontinuities"] == 0
    assert metrics["RelayReconnects"] == 1


@pytest.mark.parametrize("error", ["unavailable", "not-found", "permission-denied", "resource-exhausted"])
def test_the_relay_goes_on_after_an_error_of_momento(site: Site, error: str) -> None:
    site.momento.admin("/fail", rpcs="topic-subscribe", error=error, count=3)
    site.momento.publish("one")
    site.start()
    site.webhook.wait_for_taken("one")


@pytest.mark.parametrize("wrong_key", [make_api_key(), "not a key at all"], ids=["revoked", "malformed"])
def test_a_changed_api_key_is_read_again(
    site: Site, metrics: Metrics, wrong_key: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("aws_access.secrets.SECONDS_BETWEEN_REREADS", 0.1)
    site.put_secret("MOMENTO_API_KEY_SECRET", wrong_key)
    site.momento.publish("one")
    site.start()
    wait_until(lambda: max(metrics.values("RelayLagSeconds"), default=0) > 0.5)
    assert site.webhook.requests == []

    site.put_secret("MOMENTO_API_KEY_SECRET", site.momento.server.api_key)
    site.webhook.wait_for_taken("one")


def test_after_a_stream_with_messages_the_next_one_opens_at_once(site: Site) -> None:
    """If pauses went on doubling over all of these streams, they would take three quarters of a minute."""
    numbers = range(1, 13)
    server = ScriptedTopic(*([item(n)] for n in numbers), ends=True).serve(site)
    running = site.start()
    site.webhook.wait_for_taken(*(f"7-{n}" for n in numbers))
    running.stop()
    server.stop(None)


def test_a_silent_stream_is_replaced_by_one_that_goes_on(site: Site) -> None:
    topic = ScriptedTopic([item(5), item(6)], [item(7)])
    server = topic.serve(site)
    running = site.start(silence=1)
    site.webhook.wait_for_taken("7-5", "7-6", "7-7")
    assert running.stop()["discontinuities"] == 0
    server.stop(None)

    first, second = topic.requests[:2]
    assert (first.resume_at_topic_sequence_number, first.sequence_page) == (1, 0)
    assert (second.resume_at_topic_sequence_number, second.sequence_page) == (7, 7)


def test_numbers_that_jump_are_a_gap_even_without_a_discontinuity(site: Site, metrics: Metrics) -> None:
    server = ScriptedTopic([item(1), item(4), item(5), item(1, page=8), item(3, page=9)]).serve(site)
    running = site.start()
    site.webhook.wait_for_taken("7-1", "7-4", "7-5", "8-1", "9-3")
    assert running.stop()["discontinuities"] == 2
    server.stop(None)
    assert metrics["RelayMessagesMissed"] == 4
    assert metrics["RelayTopicRestarts"] == 1


def test_a_repeated_message_is_delivered_again_rather_than_lost(site: Site) -> None:
    server = ScriptedTopic([item(1), item(2), item(2), item(1), item(2), item(3)]).serve(site)
    running = site.start()
    site.webhook.wait_for_taken("7-1", "7-2", "7-2", "7-1", "7-2", "7-3")
    assert running.stop()["discontinuities"] == 0
    server.stop(None)


@pytest.mark.parametrize(
    "first_stream",
    [
        [item(57), item(58)],
        [heartbeat(), heartbeat(), item(57), item(58)],
        [item(55), item(56), item(57), item(58)],
        [],
    ],
    ids=["the latest", "only what is published later", "some before the newest", "nothing"],
)
def test_a_first_start_on_a_used_topic_misses_nothing(
    site: Site, metrics: Metrics, first_stream: list[pubsub._SubscriptionItem]
) -> None:
    """Whatever Momento begins with, and also if the stream breaks and is replaced."""
    topic = ScriptedTopic(first_stream, [heartbeat(), item(59), item(60)])
    server = topic.serve(site)
    running = site.start(silence=1)
    site.webhook.wait_for_text("7-60")
    assert running.stop()["discontinuities"] == 0
    server.stop(None)
    assert metrics["RelayDiscontinuities"] == 0


@pytest.mark.parametrize(("quiet_seconds", "discontinuities"), [(3600, 0), (0, 1)])
def test_a_hand_over_on_an_idle_topic_misses_nothing(
    site: Site, quiet_seconds: int, discontinuities: int
) -> None:
    """Momento restarts an idle topic. One that had a message just now is not idle, and has lost something."""
    site.momento.publish("one")
    running = site.start()
    site.webhook.wait_for_taken("one")
    running.stop()
    bookmark = boto3.client("dynamodb").get_item(
        TableName=site.environment["RELAY_TABLE"], Key={"id": {"S": "relay"}}
    )["Item"]["bookmarks"]["M"][f"{CACHE}/{TOPIC}"]["M"]
    quiet_from = int(bookmark["quiet_until"]["N"]) - quiet_seconds * 1000
    boto3.client("dynamodb").update_item(
        TableName=site.environment["RELAY_TABLE"],
        Key={"id": {"S": "relay"}},
        UpdateExpression="SET bookmarks.#topic.quiet_from = :quiet_from",
        ExpressionAttributeNames={"#topic": f"{CACHE}/{TOPIC}"},
        ExpressionAttributeValues={":quiet_from": {"N": str(quiet_from)}},
    )

    site.momento.reset_topic()
    running = site.start()
    wait_until(lambda: site.momento.subscribers() == 1)
    site.momento.publish("two")
    site.webhook.wait_for_taken("one", "two")
    site.wait_for_saved(1)
    assert running.stop()["discontinuities"] == discontinuities


def test_a_hanging_connection_is_replaced_before_silence_is_noticed(site: Site) -> None:
    """As when a load balancer has forgotten it: nothing arrives, and nobody closes it."""
    with black_hole(site.momento.server.port) as proxy:
        site.environment["MOMENTO_LOCAL"] = proxy.address
        running = site.start(silence=3600)
        site.momento.publish("one")
        site.webhook.wait_for_taken("one")
        proxy.swallow()
        site.momento.publish("two")
        site.webhook.wait_for_taken("one", "two")
        assert running.stop()["discontinuities"] == 0
