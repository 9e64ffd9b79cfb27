"""One publisher's messages in their order, different publishers' side by side."""

from __future__ import annotations

import importlib
import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor

import pytest

from relay.lanes import Lanes
from tests.support.metric_values import Metrics
from tests.support.relay_site import Site
from tests.support.waiting import wait_until
from tests.support.webhook_server import Request


def test_publishers_are_served_side_by_side_and_each_in_order(site: Site) -> None:
    publishers = ["ann", "bob", "cem", "dee"]
    together = threading.Barrier(len(publishers))
    in_flight: Counter[str] = Counter()
    at_once: list[int] = []

    def answer(request: Request) -> int:
        publisher = request.fields["token_id"]
        in_flight[publisher] += 1
        at_once.append(in_flight[publisher])
        together.wait(20)
        in_flight[publisher] -= 1
        return 200

    site.webhook.answer = answer
    running = site.start()
    texts = [str(number) for number in range(5)]
    for publisher in publishers:
        site.momento.publish(*texts, publisher=publisher)
    site.webhook.wait_for(lambda: len(site.webhook.taken) == 20)
    assert set(at_once) == {1}
    for publisher in publishers:
        requests = [one for one in site.webhook.requests if one.fields["token_id"] == publisher]
        assert [one.text for one in requests] == texts
    assert running.stop()["delivered"] == 20


def test_no_more_calls_are_made_at_once_than_allowed(site: Site) -> None:
    site.environment["RELAY_CONCURRENCY"] = "2"
    lock = threading.Lock()
    together = threading.Barrier(2)
    numbers = [0]

    def answer(_request: Request) -> int:
        with lock:
            numbers.append(numbers[-1] + 1)
        together.wait(20)
        with lock:
            numbers.append(numbers[-1] - 1)
        return 200

    site.webhook.answer = answer
    site.start()
    for publisher in "abcdef":
        site.momento.publish("one", publisher=publisher)
    site.webhook.wait_for(lambda: len(site.webhook.taken) == 6)
    assert max(numbers) == 2


def test_messages_that_fail_hold_back_only_their_publishers(site: Site) -> None:
    """Also when more publishers' messages fail than calls are made at once."""
    site.environment["RELAY_CONCURRENCY"] = "2"
    site.webhook.answer = lambda request: 503 if request.text == "bad" else 200
    site.start()
    for publisher in "abcde":
        site.momento.publish("bad", "after bad", publisher=publisher)
    site.momento.publish("one", "two", publisher="taylor")
    site.webhook.wait_for_taken("one", "two")
    assert site.saved() is None
    site.webhook.answer = lambda _request: 200
    site.webhook.wait_for(lambda: len(site.webhook.taken) == 12)
    for publisher in "abcde":
        requests = [one for one in site.webhook.requests if one.fields["token_id"] == publisher]
        assert [one.text for one in requests if one.status == 200] == ["bad", "after bad"]
    site.wait_for_saved(12)


def test_a_flood_is_delivered_by_turns_with_the_others(site: Site, metrics: Metrics) -> None:
    site.environment["RELAY_CONCURRENCY"] = "1"
    go_on = threading.Event()

    def answer(request: Request) -> int:
        return 200 if request.text != "flood 0" or go_on.wait(20) else 500

    site.webhook.answer = answer
    site.start(answer=20, lease=60)
    flood = [f"flood {number}" for number in range(100)]
    site.momento.publish(*flood, publisher="flood")
    site.momento.publish("ann 0", "ann 1", publisher="ann")
    site.momento.publish("bob 0", publisher="bob")
    site.momento.publish("last", publisher="flood")
    wait_until(lambda: metrics.values("RelayLanes")[-1:] == [3])
    go_on.set()
    site.webhook.wait_for_taken("flood 0", "ann 0", "bob 0", "flood 1", "ann 1", *flood[2:], "last")


def test_the_position_before_the_first_message_in_flight_is_saved(site: Site) -> None:
    site.webhook.answer = lambda request: 503 if request.text == "stuck" else 200
    process = site.start_process()
    site.momento.publish("one", publisher="ann")
    site.momento.publish("stuck", publisher="bob")
    site.momento.publish("three", "four", publisher="ann")
    site.webhook.wait_for_taken("one", "three", "four")
    site.wait_for_saved(1)
    process.kill()
    process.wait()

    site.webhook.answer = lambda _request: 200
    running = site.start(lease=0.5)
    site.webhook.wait_for(lambda: len(site.webhook.taken) == 6)
    assert sorted(site.webhook.taken[3:]) == ["four", "stuck", "three"]
    site.wait_for_saved(4)
    assert running.stop()["discontinuities"] == 0


def test_each_topic_has_its_position_under_one_lease(site: Site) -> None:
    site.environment["TOPICS"] = "comment,poll"
    both = site.start()
    site.momento.publish("comment 1")
    site.momento.publish("poll 1", "poll 2", topic="poll")
    site.webhook.wait_for(lambda: len(site.webhook.taken) == 3)
    both.stop()
    assert (site.saved("comment"), site.saved("poll")) == (1, 2)
    topics = {request.text: request.fields["topic"] for request in site.webhook.requests}
    assert topics == {"comment 1": "comment", "poll 1": "poll", "poll 2": "poll"}

    site.environment["TOPICS"] = "comment"
    one = site.start()
    site.momento.publish("poll 3", topic="poll")
    site.momento.publish("comment 2")
    site.wait_for_saved(2)
    one.stop()
    assert site.saved("poll") == 2

    site.environment["TOPICS"] = "poll, comment"
    again = site.start()
    site.webhook.wait_for_text("poll 3")
    assert again.stop() == {"status": "relayed", "delivered": 1, "refused": 0, "discontinuities": 0}
    assert sorted(site.webhook.taken) == ["comment 1", "comment 2", "poll 1", "poll 2", "poll 3"]


class Parcel:
    """Waits in a lane until it may be dealt with."""

    waiting_since = 0.0
    size = 10

    def __init__(self, lane: str, may_go: threading.Event, done: list[str]) -> None:
        self.lane = lane
        self._may_go = may_go
        self._done = done

    def attempt(self) -> float | None:
        assert self._may_go.wait(20)
        self._done.append(self.lane)
        return None

    def leave(self, deadline: float) -> bool:
        return time.monotonic() < deadline


def test_the_messages_in_hand_are_bounded() -> None:
    lanes = Lanes(max_bytes=30)
    may_go = threading.Event()
    done: list[str] = []
    put: list[str] = []

    def read() -> None:
        for lane in ("a", "b", "c", "d", "e"):
            lanes.put(Parcel(lane, may_go, done))
            put.append(lane)

    threads = [threading.Thread(target=read), threading.Thread(target=lanes.work)]
    for thread in threads:
        thread.start()
    wait_until(lambda: lanes.is_full)
    assert lanes.count == 3
    assert len(put) <= 3
    may_go.set()
    wait_until(lambda: len(done) == 5)
    lanes.close()
    for thread in threads:
        thread.join(20)
    assert done == put == ["a", "b", "c", "d", "e"]


def keep_waiting(site: Site, publisher: str) -> threading.Event:
    """Let the webhook fail for one publisher's messages until the event is set."""
    works = threading.Event()
    site.webhook.answer = lambda request: (
        200 if works.is_set() or request.fields["token_id"] != publisher else 500
    )
    return works


def test_a_message_that_waits_too_long_goes_to_the_spill_queue(site: Site, metrics: Metrics) -> None:
    """Momento may not hold it any more when a relay starts again after a crash."""
    keep_waiting(site, "ann")
    running = site.start(max_messages_behind=5, patience_with_lane=0.1)
    site.momento.publish("first", publisher="ann")
    site.webhook.wait_for(lambda: site.webhook.requests)
    site.momento.publish(*"123456", publisher="bob")
    site.webhook.wait_for(lambda: len(site.webhook.taken) == 6)
    site.wait_for_saved(max(one.fields["topic_sequence_number"] for one in site.webhook.requests))
    [spilled] = site.spilled()
    assert (spilled["token_id"], spilled["text"]) == ("ann", "first")
    assert site.webhook.taken == list("123456")
    assert running.stop()["delivered"] == 6
    assert metrics["RelaySpilled"] == 1


def test_a_message_that_cannot_be_spilled_is_delivered_later(site: Site) -> None:
    works = keep_waiting(site, "ann")
    site.start(max_messages_behind=5, patience_with_lane=0.1)
    site.momento.publish("first", publisher="ann")
    site.webhook.wait_for(lambda: site.webhook.requests)
    site.aws.troubles["SendMessage"] = "fail"
    site.momento.publish(*"123456", publisher="bob")
    site.webhook.wait_for(lambda: len(site.webhook.taken) == 6)
    wait_until(lambda: "SendMessage" in [operation for operation, _ in site.aws.calls])
    works.set()
    site.webhook.wait_for_text("first")
    assert site.spilled() == []


def test_a_run_that_ends_spills_messages_that_the_next_one_may_not_get(site: Site) -> None:
    keep_waiting(site, "ann")
    running = site.start(max_messages_behind=5)
    site.momento.publish("first", "second", publisher="ann")
    site.webhook.wait_for(lambda: site.webhook.requests)
    site.momento.publish(*"12345", publisher="bob")
    site.webhook.wait_for(lambda: len(site.webhook.taken) == 5)
    running.stop()
    assert [one["text"] for one in site.spilled()] == ["first"]
    site.webhook.answer = lambda _request: 200
    site.start()
    site.webhook.wait_for_text("second")


def test_a_message_that_waits_for_long_is_spilled_even_if_no_other_follows(site: Site) -> None:
    """Momento promises for no time that it still holds it."""
    keep_waiting(site, "ann")
    site.start(patience_with_lane=0.1, held=0.2)
    site.momento.publish("first", publisher="ann")
    wait_until(lambda: [one["text"] for one in site.spilled()] == ["first"])


def test_a_run_that_ends_spills_messages_that_have_waited_for_long(site: Site) -> None:
    keep_waiting(site, "ann")
    running = site.start(held=0)
    site.momento.publish("first", publisher="ann")
    site.webhook.wait_for(lambda: site.webhook.requests)
    running.stop()
    assert [one["text"] for one in site.spilled()] == ["first"]


def test_a_flood_is_left_last_and_only_until_the_deadline(caplog: pytest.LogCaptureFixture) -> None:
    lanes = Lanes(max_bytes=100)
    left: list[str] = []

    class Left(Parcel):
        def leave(self, deadline: float) -> bool:
            left.append(self.lane)
            return super().leave(deadline)

    for lane in ("flood", "flood", "flood", "a", "b"):
        lanes.put(Left(lane, threading.Event(), []))
    lanes.close()
    lanes.leave(threads=1, seconds=20)
    assert left == ["a", "b", "flood", "flood", "flood"]
    assert not caplog.records
    lanes.leave(threads=1, seconds=0)
    assert [record.getMessage() for record in caplog.records] == ["not all that is in hand is safe"]


def test_several_messages_are_left_at_the_same_time() -> None:
    lanes = Lanes(max_bytes=100)
    meeting = threading.Barrier(3, timeout=20)
    met: list[int] = []

    class Left(Parcel):
        def leave(self, deadline: float) -> bool:
            met.append(meeting.wait())
            return True

    for lane in ("a", "a", "b"):
        lanes.put(Left(lane, threading.Event(), []))
    lanes.close()
    lanes.leave(threads=3, seconds=20)
    assert sorted(met) == [0, 1, 2]


def test_idle_threads_are_woken_even_after_others_have_waited_for_the_end_of_a_pause() -> None:
    lanes = Lanes(max_bytes=100)
    begun: dict[str, threading.Event] = {lane: threading.Event() for lane in "abc"}
    may_go = threading.Event()
    meeting = threading.Barrier(3, timeout=20)

    class Met(Parcel):
        def attempt(self) -> float | None:
            meeting.wait()
            return None

    class Paused(Parcel):
        def __init__(self, lane: str, *pauses: float) -> None:
            super().__init__(lane, may_go, [])
            self._pauses = iter(pauses)

        def attempt(self) -> float | None:
            if pause := next(self._pauses, None):
                return pause
            begun[self.lane].set()
            return super().attempt()

    with ThreadPoolExecutor(3) as threads:
        for _ in range(3):
            threads.submit(lanes.work)
        for lane in "xyz":  # All three threads work, and are idle afterwards.
            lanes.put(Met(lane, may_go, []))
        try:
            for parcel in (Paused("a", 0.1), Paused("b"), Paused("c")):
                time.sleep(0.05)  # Nothing tells when a thread is idle.
                lanes.put(parcel)
                assert begun[parcel.lane].wait(10)
        finally:
            may_go.set()
            lanes.close()


def test_closed_lanes_refuse_messages_and_nobody_waits_for_room() -> None:
    lanes = Lanes(max_bytes=10)
    may_go = threading.Event()
    lanes.put(Parcel("a", may_go, []))
    waiting = threading.Thread(target=lanes.put, args=(Parcel("b", may_go, []),))
    waiting.start()
    lanes.close()
    waiting.join(20)
    assert not waiting.is_alive()
    assert lanes.count == 1


def test_the_oldest_message_in_hand_is_found_over_all_lanes() -> None:
    lanes = Lanes(max_bytes=100)
    assert lanes.oldest_seconds() == 0
    now = time.monotonic()
    for lane, age in (("a", 50), ("b", 100), ("b", 1000), ("c", 0)):
        parcel = Parcel(lane, threading.Event(), [])
        parcel.waiting_since = now - age
        lanes.put(parcel)
    assert lanes.oldest_seconds() == pytest.approx(100, abs=10)


def test_the_concurrency_must_be_one_or_more(site: Site) -> None:
    for_how_many = importlib.import_module("relay.settings").Settings.from_environ
    site.environment.pop("RELAY_CONCURRENCY", None)
    assert for_how_many(site.environment).concurrency == 16
    assert for_how_many(site.environment | {"RELAY_CONCURRENCY": "1"}).concurrency == 1
    for number in ("0", "-1"):
        with pytest.raises(ValueError, match="RELAY_CONCURRENCY must be 1 or more"):
            for_how_many(site.environment | {"RELAY_CONCURRENCY": number})
