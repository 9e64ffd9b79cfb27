"""What the webhook is sent, and what becomes of its answers."""

from __future__ import annotations

import hashlib
import hmac
import importlib
import threading
import time

import boto3
import pytest

from tests.support.metric_values import Metrics
from tests.support.momento import CACHE, TOPIC
from tests.support.relay_site import Site
from tests.support.waiting import wait_until
from tests.support.webhook_server import Reply, Request


def test_a_message_is_posted_like_momentos_webhooks_with_its_page_added(site: Site) -> None:
    began = time.time() * 1000
    text = '{"courseId": 123, "comment": "naïve ✓"}'
    site.start()
    site.momento.publish(text, publisher="taylor")
    site.webhook.wait_for_taken(text)

    (request,) = site.webhook.requests
    fields = request.fields
    assert list(fields) == [
        "cache",
        "topic",
        "event_timestamp",
        "publish_timestamp",
        "topic_sequence_number",
        "token_id",
        "text",
        "topic_sequence_page",
    ]
    assert (fields["cache"], fields["topic"]) == (CACHE, TOPIC)
    assert began - 1 <= fields["event_timestamp"] <= fields["publish_timestamp"] <= time.time() * 1000
    assert (fields["topic_sequence_number"], fields["token_id"]) == (1, "taylor")
    assert fields["topic_sequence_page"] > 0
    assert request.headers["content-type"] == "application/json"
    comment = importlib.import_module("topics.comment").Comments(
        {"COMMENT_TTL_SECONDS": "600", "COMMENT_LIST_LENGTH": "3", "COURSE_IDS_CLAIM": ""}
    )
    known = importlib.import_module("webhook.request").parse_message(fields, {TOPIC: comment}, CACHE)
    assert (known.id, known.publisher, known.content.text) == (
        f"page{fields['topic_sequence_page']}-1",
        "taylor",
        "naïve ✓",
    )
    signature = hmac.new(b"the-signing-secret", request.body, hashlib.sha3_256).hexdigest()
    assert request.headers["momento-signature"] == signature
    assert "momento-realtime-identity" in request.headers["user-agent"]


def test_each_message_has_its_publisher_and_its_place_in_the_order(site: Site) -> None:
    site.start()
    for number, publisher in enumerate(["taylor", "", "sam", "taylor"]):
        site.momento.publish(f"{number}", publisher=publisher)
    site.webhook.wait_for(lambda: len(site.webhook.taken) == 4)

    requests = sorted(site.webhook.requests, key=lambda one: one.text)
    assert [one.fields["token_id"] for one in requests] == ["taylor", "", "sam", "taylor"]
    assert [one.fields["topic_sequence_number"] for one in requests] == [1, 2, 3, 4]
    assert [one.text for one in site.webhook.requests if one.fields["token_id"] == "taylor"] == ["0", "3"]


def test_binary_messages_are_skipped(site: Site) -> None:
    running = site.start()
    site.momento.publish("before", b"\xff", "after", b"\xfe")
    site.webhook.wait_for_taken("before", "after")
    site.wait_for_saved(4)
    assert running.stop()["delivered"] == 2


@pytest.mark.parametrize("status", [307, 408, 429, 500, 502, 503, 504])
def test_a_message_is_posted_until_it_is_accepted_and_the_next_one_waits(site: Site, status: int) -> None:
    answers = iter([status, status, 202, 200])
    site.webhook.answer = lambda _request: next(answers)
    running = site.start()
    site.momento.publish("one", "two")
    site.webhook.wait_for_taken("one", "two")

    tries = [request.fields for request in site.webhook.requests if request.text == "one"]
    assert len(tries) == 3
    assert len({one["event_timestamp"] for one in tries}) == 1
    assert len({one["publish_timestamp"] for one in tries}) == 3
    assert running.stop() == {"status": "relayed", "delivered": 2, "refused": 0, "discontinuities": 0}


def test_a_relay_is_behind_until_it_has_caught_up(site: Site, metrics: Metrics) -> None:
    """Also where each message was read a moment ago, as more wait at Momento than it has in hand."""
    go_on = {"0": threading.Event(), "250": threading.Event()}
    reached = threading.Event()

    def answer(request: Request) -> int:
        if request.text == "250":
            reached.set()
        return 200 if request.text not in go_on or go_on[request.text].wait(20) else 500

    site.webhook.answer = answer
    texts = [str(number) for number in range(300)]
    site.momento.publish(*texts)
    site.start(answer=20, lease=60, max_bytes_in_hand=20_000)
    wait_until(lambda: max(metrics.values("RelayLagSeconds"), default=0) > 2)
    go_on["0"].set()
    assert reached.wait(20)
    before = len(metrics.values("RelayLagSeconds"))
    wait_until(lambda: len(metrics.values("RelayLagSeconds")) > before + 1)
    assert metrics.values("RelayLagSeconds")[before + 1] > 2
    go_on["250"].set()
    site.webhook.wait_for_taken(*texts)
    wait_until(lambda: metrics.values("RelayLagSeconds")[-1] == 0)


def test_a_call_without_an_answer_is_tried_again(site: Site) -> None:
    is_over = threading.Event()
    tries = 0

    def answer(_request: Request) -> int:
        nonlocal tries
        tries += 1
        if tries == 1:
            raise ConnectionError
        if tries == 2:
            is_over.wait(10)
        return 200

    site.webhook.answer = answer
    running = site.start(answer=0.3)
    site.momento.publish("one")
    site.webhook.wait_for_taken("one")
    is_over.set()
    assert tries == 3
    assert running.stop()["delivered"] == 1


def test_the_relay_waits_for_a_webhook_that_is_away(site: Site) -> None:
    url = site.webhook.url
    site.environment["WEBHOOK_URL"] = "http://127.0.0.1:9/"
    refused = site.start()
    site.momento.publish("one")
    wait_until(lambda: "holder" in site.item())
    assert refused.stop()["delivered"] == 0

    site.environment["WEBHOOK_URL"] = url
    site.start()
    site.webhook.wait_for_taken("one")


@pytest.mark.parametrize("status", [400, 404, 422])
def test_a_refused_message_is_kept_and_the_next_one_follows(site: Site, status: int) -> None:
    site.webhook.answer = lambda request: status if request.text == "bad" else 200
    running = site.start()
    site.momento.publish("good", "bad", "better")
    site.webhook.wait_for_taken("good", "better")

    assert running.stop() == {"status": "relayed", "delivered": 2, "refused": 1, "discontinuities": 0}
    (kept,) = site.dead_letters()
    (sent,) = [request.fields for request in site.webhook.requests if request.text == "bad"]
    assert {**kept, "publish_timestamp": 0} == {**sent, "publish_timestamp": 0}


def test_a_refused_message_holds_its_place_until_it_is_kept(site: Site) -> None:
    queue = site.environment["DEAD_LETTER_QUEUE_URL"]
    site.environment["DEAD_LETTER_QUEUE_URL"] = f"{queue}-which-is-not-there"
    site.webhook.answer = lambda request: 400 if request.text == "bad" else 200
    running = site.start()
    site.momento.publish("bad", "good")
    wait_until(lambda: [name for name, _ in site.aws.calls].count("SendMessage") > 1)
    assert len(site.webhook.requests) == 1
    assert running.stop()["refused"] == 0
    assert site.saved() is None

    site.environment["DEAD_LETTER_QUEUE_URL"] = queue
    site.start()
    site.webhook.wait_for_taken("good")
    assert [one["text"] for one in site.dead_letters()] == ["bad"]


def test_a_rotated_secret_is_read_again(site: Site) -> None:
    secret = "the-signing-secret"

    def answer(request: Request) -> int:
        expected = hmac.new(secret.encode(), request.body, hashlib.sha3_256).hexdigest()
        return 200 if request.headers["momento-signature"] == expected else 403

    site.webhook.answer = answer
    running = site.start()
    site.momento.publish("one")
    site.webhook.wait_for_taken("one")
    secret = "another"
    site.put_secret("WEBHOOK_SIGNING_SECRET", secret)
    site.momento.publish("two", "three")
    site.webhook.wait_for_taken("one", "two", "three")
    assert running.stop() == {"status": "relayed", "delivered": 3, "refused": 0, "discontinuities": 0}


@pytest.mark.parametrize("error", [-90, 90])
def test_a_webhook_with_another_clock_gets_requests_with_its_own_time(site: Site, error: float) -> None:
    def answer(request: Request) -> int:
        now = time.time() + error
        return 200 if abs(request.fields["publish_timestamp"] / 1000 - now) < 60 else 403

    site.webhook.clock_error = error
    site.webhook.answer = answer
    running = site.start()
    site.momento.publish("one", "two")
    site.webhook.wait_for_taken("one", "two")
    assert [request.status for request in site.webhook.requests] == [403, 200, 200]
    assert running.stop()["refused"] == 0


def test_a_403_that_lasts_becomes_a_refusal(site: Site) -> None:
    site.webhook.answer = lambda request: 403 if request.text == "bad" else 200
    running = site.start(refusal=0.5)
    site.momento.publish("bad", "good")
    site.webhook.wait_for_taken("good")
    assert len(site.webhook.requests) > 2
    assert running.stop()["refused"] == 1
    assert [one["text"] for one in site.dead_letters()] == ["bad"]


def test_a_403_does_not_count_while_the_secret_cannot_be_read_again(site: Site) -> None:
    running = site.start(refusal=0)
    site.momento.publish("one")
    site.webhook.wait_for_taken("one")
    boto3.client("secretsmanager").delete_secret(
        SecretId=site.environment["WEBHOOK_SIGNING_SECRET"], ForceDeleteWithoutRecovery=True
    )
    answers = iter([403] * 4)
    site.webhook.answer = lambda _request: next(answers, 200)
    site.momento.publish("two")
    site.webhook.wait_for_taken("one", "two")
    assert running.stop() == {"status": "relayed", "delivered": 2, "refused": 0, "discontinuities": 0}


def test_a_call_ends_within_the_allowed_time(site: Site) -> None:
    is_over = threading.Event()
    site.webhook.answer = lambda _request: 500 if is_over.wait(20) else 200
    module = importlib.import_module("relay.webhook_client")
    client = module.WebhookClient(site.settings(answer=60), lambda: 0.3)
    message = importlib.import_module("relay.message")
    one = message.Message(TOPIC, message.Position(1, 1), "taylor", "text", time.time())
    answer = client.post(one)
    is_over.set()
    assert (answer.verdict, answer.status) == (module.Verdict.FAILED, None)


def test_a_call_begins_only_if_it_can_end_in_time(site: Site) -> None:
    module = importlib.import_module("relay.webhook_client")
    client = module.WebhookClient(site.settings(), lambda: 0.0)
    message = importlib.import_module("relay.message")
    one = message.Message(TOPIC, message.Position(1, 1), "taylor", "text", time.time())
    assert client.post(one).verdict is module.Verdict.FAILED
    assert site.webhook.requests == []


@pytest.mark.parametrize(
    ("verdict", "statuses"),
    [
        ("TAKEN", [200, 202, 299]),
        ("FAILED", [300, 307, 399, 408, 425, 429, 500, 503, 599]),
        ("REFUSED", [400, 402, 404, 407, 409, 422, 424, 426, 428, 430, 499]),
        ("UNTRUSTED", [403]),
    ],
)
def test_a_status_decides_whether_a_message_is_tried_again(
    site: Site, verdict: str, statuses: list[int]
) -> None:
    client = importlib.import_module("relay.webhook_client").WebhookClient(site.settings(), lambda: 10.0)
    message = importlib.import_module("relay.message")
    one = message.Message(TOPIC, message.Position(1, 1), "taylor", "text", time.time())
    replies = iter([Reply(status, {}) for status in statuses])
    site.webhook.answer = lambda _request: next(replies)
    for status in statuses:
        answer = client.post(one)
        assert (answer.verdict.name, answer.status) == (verdict, status)


def test_pauses_between_attempts_grow_and_the_log_reports_fewer_of_them(
    site: Site, caplog: pytest.LogCaptureFixture
) -> None:
    delivery = importlib.import_module("relay.delivery")
    message = importlib.import_module("relay.message")
    queue = importlib.import_module("aws_access.queues").Queue
    settings = site.settings()
    courier = delivery.Courier(
        importlib.import_module("relay.webhook_client").WebhookClient(settings, lambda: 10.0),
        *(
            queue(url, timeout_seconds=2)
            for url in (settings.dead_letter_queue_url, settings.spill_queue_url)
        ),
        importlib.import_module("relay.relay_metrics").RelayMetrics(),
        settings.durations,
    )
    done: list[bool] = []
    text = "x" * 4000
    one = delivery.Delivery(
        message.Message(TOPIC, message.Position(1, 1), "taylor", text, time.time()),
        time.monotonic(),
        courier,
        is_held_by_momento=lambda: True,
        when_done=lambda: done.append(True),
    )
    assert 4000 < one.size < 8000
    site.webhook.answer = lambda _request: 503
    for longest in (0.2, 0.4, 0.8, 1.6, 3.2, 6.4, 10, 10, 10):
        assert longest / 2 <= one.attempt() <= longest
    attempts = [
        vars(record)["attempts"] for record in caplog.records if record.message == "not delivered yet"
    ]
    assert attempts == [1, 2, 4, 8]
    assert courier.metrics["RelayRetries"] == 9
    assert done == []
    site.webhook.answer = lambda _request: 200
    assert one.attempt() is None
    assert done == [True]


AWS_FORBIDDEN = Reply(
    403,
    {"Content-Type": "application/json", "x-amzn-ErrorType": "AccessDeniedException"},
    b'{"Message":"Forbidden"}',
)
WEBHOOK_FORBIDDEN = Reply(403, {"Content-Type": "application/json"}, b'{"message": "Forbidden"}')


@pytest.mark.parametrize(
    "refusal",
    [
        AWS_FORBIDDEN,
        Reply(403, {}, b'{"Message":null}'),
        Reply(403, {"Content-Type": "text/html"}, b"<html>Request blocked</html>"),
        Reply(403, {"Content-Type": "application/json"}, b"[" * 100_000),
        Reply(404, {"x-amzn-ErrorType": "ResourceNotFoundException"}),
        Reply(400, {"x-amzn-errortype": "ValidationException"}),
    ],
)
def test_a_refusal_by_aws_makes_no_dead_letter(site: Site, refusal: Reply) -> None:
    answers = iter([refusal] * 4)
    site.webhook.answer = lambda _request: next(answers, 200)
    running = site.start(refusal=0)
    site.momento.publish("good")
    site.webhook.wait_for_taken("good")
    assert len(site.webhook.requests) == 5
    assert running.stop() == {"status": "relayed", "delivered": 1, "refused": 0, "discontinuities": 0}


def test_a_403_of_the_webhook_itself_becomes_a_refusal(site: Site) -> None:
    site.webhook.answer = lambda request: WEBHOOK_FORBIDDEN if request.text == "bad" else 200
    running = site.start(refusal=0.5)
    site.momento.publish("bad", "good")
    site.webhook.wait_for_taken("good")
    assert running.stop()["refused"] == 1
    assert [one["text"] for one in site.dead_letters()] == ["bad"]


def test_the_relay_pauses_as_the_webhook_asks(site: Site) -> None:
    """Its second attempt comes after the fourth of another message, which fails without a wish."""

    def answer(request: Request) -> int | Reply:
        tries[request.text] += 1
        if request.text == "patient":
            return Reply(503, {"Retry-After": "4"}) if tries[request.text] == 1 else 200
        return 503 if tries[request.text] < 4 else 200

    tries = {"patient": 0, "eager": 0}
    site.webhook.answer = answer
    site.start()
    site.momento.publish("patient", publisher="sam")
    site.momento.publish("eager", publisher="taylor")
    site.webhook.wait_for_taken("eager", "patient")


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("3", 3),
        ("0", 0),
        ("100000", 60),
        ("-5", 0),
        ("soon", 0),
        ("9" * 400, 60),
        ("Mon, 01 Jan 0001 00:00:00 -0000", 0),
        ("Sun, 06 Nov 1994 08:49:37 GMT", 0),
        ("Fri, 31 Dec 2999 23:59:59 GMT", 60),
    ],
)
def test_the_pause_that_the_webhook_asks_for_is_bounded(site: Site, value: str, seconds: float) -> None:
    client = importlib.import_module("relay.webhook_client").WebhookClient(site.settings(), lambda: 10.0)
    site.webhook.answer = lambda _request: Reply(429, {"Retry-After": value})
    message = importlib.import_module("relay.message")
    one = message.Message(TOPIC, message.Position(1, 1), "taylor", "text", time.time())
    assert client.post(one).retry_after_seconds == seconds


def test_connections_that_hang_cost_one_attempt(site: Site) -> None:
    """As many as were kept open, and were then forgotten by a load balancer."""
    publishers = ["ann", "bob", "cem"]
    together = threading.Barrier(len(publishers))
    is_over = threading.Event()
    forgotten: set[tuple[str, int]] = set()
    hung: list[str] = []

    def answer(request: Request) -> int:
        if request.connection in forgotten:
            hung.append(request.text)
            is_over.wait(20)
            raise ConnectionError
        if request.text in {"first", "third"}:
            together.wait(20)
        return 200

    site.webhook.answer = answer
    running = site.start(answer=4)
    for publisher in publishers:
        site.momento.publish("first", publisher=publisher)
    site.webhook.wait_for(lambda: len(site.webhook.taken) == 3)
    forgotten.update(request.connection for request in site.webhook.requests)
    assert len(forgotten) == 3
    site.momento.publish("second")
    site.webhook.wait_for_text("second")
    for publisher in publishers:
        site.momento.publish("third", publisher=publisher)
    site.webhook.wait_for(lambda: site.webhook.taken.count("third") == 3)
    is_over.set()
    assert hung == ["second"]
    running.stop()
