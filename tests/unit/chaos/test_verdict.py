"""What the chaos tests call lost, doubled, double-published, reordered and wrong."""

import json
from typing import Any

import pytest

from local.lambda_host.host import FUNCTION_URL, AnsweredRequest
from local.momento.topics import Message
from tests.chaos.verdict import Verdict, judge
from tests.chaos.witness import COMMENT, POLL, Witness


class Topic:
    """Messages that a witness has seen on their way."""

    def __init__(self) -> None:
        self.witness = Witness()
        self.next_number = 1

    def publish(self, text: str, user: str = "taylor", message_id: str | None = None) -> str:
        """Return the topic id of a new message about course `1`."""
        fields = {"courseId": "1", "comment": text, **({"id": message_id} if message_id else {})}
        self.witness.message_published(COMMENT, Message(self.next_number, 7, json.dumps(fields), user, 0))
        self.next_number += 1
        return f"page7-{self.next_number - 1}"

    def answer(self, topic_id: str, status: int, *, on: str = COMMENT) -> None:
        """Note that the webhook was called for a message, and answered so."""
        page, number = topic_id.removeprefix("page").split("-")
        fields = {"topic": on, "topic_sequence_page": int(page), "topic_sequence_number": int(number)}
        body = json.dumps(fields).encode()
        self.witness.request_answered(AnsweredRequest(FUNCTION_URL, "POST", "/", body, status, 1.0))

    def judge(self, *entries: dict[str, Any], dead_letters: tuple[str, ...] = ()) -> Verdict:
        """Judge a list of these entries, the oldest first."""
        return judge(self.witness.trial, {"1": list(reversed(entries))}, dead_letters)


def entry(text: str, entry_id: str, user: str = "taylor") -> dict[str, Any]:
    return {"userID": user, "comment": text, "id": entry_id}


@pytest.fixture
def topic() -> Topic:
    return Topic()


def harm(verdict: Verdict) -> dict[str, frozenset[str]]:
    return {kind: harmed for kind, harmed in verdict.harm.items() if harmed}


def test_messages_stored_under_the_topics_id_or_their_senders_are_well(topic: Topic) -> None:
    one, two = topic.publish("x-taylor-1"), topic.publish("x-taylor-2", message_id="mine")
    verdict = topic.judge(entry("x-taylor-1", one), entry("x-taylor-2", "mine"))
    assert harm(verdict) == {}
    assert verdict.stored == {one, two}


def test_a_message_that_is_nowhere_is_lost_and_one_among_the_dead_letters_is_not(topic: Topic) -> None:
    one, two = topic.publish("x-taylor-1"), topic.publish("x-taylor-2")
    verdict = topic.judge(dead_letters=(two,))
    assert harm(verdict) == {"lost": {one}}
    assert verdict.dead == {two}


def test_a_message_said_to_be_published_and_not_on_the_topic_is_lost(topic: Topic) -> None:
    topic.witness.trial.acknowledged.append("x-taylor-1")
    assert harm(topic.judge()) == {"lost": {"x-taylor-1"}}


def test_two_entries_with_one_id_are_doubled(topic: Topic) -> None:
    one = topic.publish("x-taylor-1", message_id="mine")
    verdict = topic.judge(entry("x-taylor-1", "mine"), entry("x-taylor-1", "mine"))
    assert harm(verdict) == {"doubled": {one}}
    assert not verdict.stored


def test_two_entries_of_one_message_with_two_ids_are_double_published(topic: Topic) -> None:
    one, two = (topic.publish("x-taylor-1", message_id="mine") for _ in range(2))
    verdict = topic.judge(entry("x-taylor-1", one), entry("x-taylor-1", two))
    assert harm(verdict) == {"double-published": {one}}
    assert verdict.published == {one}
    assert verdict.repeated == 1


def test_a_message_published_twice_and_stored_once_is_well(topic: Topic) -> None:
    one, _ = (topic.publish("x-taylor-1", message_id="mine") for _ in range(2))
    verdict = topic.judge(entry("x-taylor-1", "mine"))
    assert harm(verdict) == {}
    assert verdict.stored == {one}
    assert verdict.repeated == 1


def test_a_message_stored_after_a_later_one_of_its_publisher_is_reordered(topic: Topic) -> None:
    one, two = topic.publish("x-taylor-1"), topic.publish("x-taylor-2")
    topic.answer(two, 200)
    topic.answer(one, 200)
    verdict = topic.judge(entry("x-taylor-2", two), entry("x-taylor-1", one))
    assert harm(verdict) == {"reordered": {one}}


def test_messages_of_two_publishers_may_be_stored_in_any_order(topic: Topic) -> None:
    one, two = topic.publish("x-taylor-1"), topic.publish("x-jordan-1", "jordan")
    assert harm(topic.judge(entry("x-jordan-1", two, "jordan"), entry("x-taylor-1", one))) == {}


@pytest.mark.parametrize("answers_to_first", [[], [202], [202, 200], [500]])
def test_a_message_that_passed_the_spill_queue_may_be_stored_in_any_order(
    answers_to_first: list[int], topic: Topic
) -> None:
    """The webhook has spilled it, or the relay, without an answer that takes it."""
    one, two = topic.publish("x-taylor-1"), topic.publish("x-taylor-2")
    topic.answer(two, 200)
    for status in answers_to_first:
        topic.answer(one, status)
    assert harm(topic.judge(entry("x-taylor-2", two), entry("x-taylor-1", one))) == {}


@pytest.mark.parametrize(
    ("stored", "user"), [("x-taylor-1", "jordan"), ("x-taylor-9", "taylor")], ids=["user", "text"]
)
def test_an_entry_that_nobody_published_so_is_wrong(topic: Topic, stored: str, user: str) -> None:
    one = topic.publish("x-taylor-1")
    assert harm(topic.judge(entry(stored, one, user))) == {"lost": {one}, "wrong": {one}}


def test_an_entry_under_the_id_of_another_message_is_wrong(topic: Topic) -> None:
    topic.publish("x-taylor-1", message_id="mine")
    two = topic.publish("x-jordan-1", "jordan")
    verdict = topic.judge(entry("x-taylor-1", "mine"), entry("x-jordan-1", "mine", "jordan"))
    assert harm(verdict) == {"lost": {two}, "wrong": {"mine"}}


def test_what_the_webhook_has_neither_taken_nor_refused_is_undelivered(topic: Topic) -> None:
    one, two, three = (topic.publish(f"x-taylor-{number}") for number in range(3))
    for status in (502, 403, 202):
        topic.answer(one, status)
    topic.answer(two, 422)
    topic.answer(three, 429)
    assert topic.witness.trial.undelivered == 1
    topic.answer(three, 200)
    assert topic.witness.trial.undelivered == topic.witness.trial.undelivered_of("taylor") == 0


def test_messages_of_another_topic_with_the_same_number_are_not_comments(topic: Topic) -> None:
    one = topic.publish("x-taylor-1")
    vote = Message(1, 7, json.dumps({"pollId": "x", "choice": "tea", "id": "vote"}), "taylor", 0)
    topic.witness.message_published(POLL, vote)
    topic.witness.message_published("poll-results", vote)
    topic.answer(one, 200, on=POLL)
    assert topic.witness.trial.undelivered == 1
    assert harm(topic.judge()) == {"lost": {one}}
    topic.answer(one, 200)
    assert topic.witness.trial.undelivered == 0
