"""What the chaos tests call lost, doubled and wrong on the topics of polls, chat and events."""

import json
from typing import Any

import pytest

from local.momento.topics import Message
from tests.chaos.topic_verdicts import TopicVerdict, judge_chat, judge_events, judge_votes
from tests.chaos.witness import CHAT, COMMENT, EVENT, POLL, Trial, Witness

HELLO = {"room": "lobby", "language": "en", "text": "Hello"}
SHOWN = {"en": "Hello", "de": "[de] Hello", "es": "[es] Hello"}
NOBODY = {"coffee": 0, "tea": 0, "water": 0}


class Topics:
    """Messages that a witness has seen on their way to each topic."""

    def __init__(self) -> None:
        self.witness = Witness()
        self.witness.trial = Trial("lunch")
        self.next_number = 1

    def publish(self, topic: str, message_id: str, user: str = "taylor", **fields: object) -> tuple[str, str]:
        """Return a new message as a dead letter."""
        text = json.dumps({**fields, "id": message_id})
        self.witness.message_published(topic, Message(self.next_number, 7, text, user, 0))
        self.next_number += 1
        return topic, f"page7-{self.next_number - 1}"

    def vote(self, message_id: str, choice: str, user: str = "taylor") -> tuple[str, str]:
        return self.publish(POLL, message_id, user, pollId="lunch", choice=choice)

    def judge_votes(self, *dead_letters: tuple[str, str], **counts: int) -> TopicVerdict:
        return judge_votes(self.witness.trial, {**NOBODY, **counts}, dead_letters)

    def judge_chat(self, *dead_letters: tuple[str, str], **histories: list[dict[str, Any]]) -> TopicVerdict:
        """Judge the histories of the lobby, by language."""
        by_key = {f"chat:lobby:{language}": histories.get(language, []) for language in SHOWN}
        return judge_chat(self.witness.trial, by_key, dead_letters)

    def judge_events(
        self, *events: dict[str, Any], dead_letters: tuple[tuple[str, str], ...] = ()
    ) -> TopicVerdict:
        return judge_events(self.witness.trial, events, dead_letters)


@pytest.fixture
def topics() -> Topics:
    return Topics()


def harm(verdict: TopicVerdict) -> dict[str, frozenset[str]]:
    return {kind: harmed for kind, harmed in verdict.harm.items() if harmed}


def entry(language: str, message_id: str = "one", **others: str) -> dict[str, Any]:
    """Return an entry of a history that shows `HELLO`."""
    shown = {"userID": "taylor", "text": SHOWN[language], "original": "Hello", "originalLanguage": "en"}
    return {**shown, "id": message_id, **others}


def event(message_id: str, number: int, user: str = "taylor", type_: str = "lunch") -> dict[str, Any]:
    """Return an event as the bus sends it to a target."""
    detail = {"type": type_, "detail": {"number": number}, "userID": user, "id": message_id}
    return {"detail-type": type_, "detail": detail}


def test_the_last_vote_of_each_voter_counts(topics: Topics) -> None:
    topics.vote("one", "tea")
    topics.vote("two", "coffee", "jordan")
    topics.vote("three", "water")
    verdict = topics.judge_votes(coffee=1, water=1)
    assert harm(verdict) == {}
    assert verdict.published == 3


@pytest.mark.parametrize(
    "counts", [{"tea": 1}, {"tea": 1, "water": 1}, {"water": 2}, {}], ids=["earlier", "both", "twice", "none"]
)
def test_another_tally_is_wrong(topics: Topics, counts: dict[str, int]) -> None:
    topics.vote("one", "tea")
    topics.vote("two", "water")
    assert harm(topics.judge_votes(**counts)).keys() == {"wrong"}


def test_a_vote_published_again_with_its_id_after_a_later_one_does_not_count_again(topics: Topics) -> None:
    topics.vote("one", "tea")
    topics.vote("two", "water")
    topics.vote("one", "tea")
    assert harm(topics.judge_votes(water=1)) == {}


def test_a_vote_that_is_a_dead_letter_does_not_count(topics: Topics) -> None:
    topics.vote("one", "tea")
    dead_letter = topics.vote("two", "water")
    verdict = topics.judge_votes(dead_letter, tea=1)
    assert harm(verdict) == {}
    assert verdict.dead == {"two"}


@pytest.mark.parametrize("topic", [POLL, CHAT, EVENT])
def test_a_message_said_to_be_published_and_not_on_its_topic_is_lost(topics: Topics, topic: str) -> None:
    topics.witness.trial.acknowledged_ids[topic].add("one")
    verdicts = {POLL: topics.judge_votes(), CHAT: topics.judge_chat(), EVENT: topics.judge_events()}
    assert {name: harm(verdict) for name, verdict in verdicts.items() if harm(verdict)} == {
        topic: {"lost": {"one"}}
    }


@pytest.mark.parametrize("topic", [POLL, CHAT, EVENT])
def test_a_dead_letter_that_nobody_published_is_wrong(topics: Topics, topic: str) -> None:
    topics.publish(COMMENT, "one", courseId="1", comment="page7-1 is on another topic")
    dead_letter = (topic, "page7-1")
    verdicts = {
        POLL: topics.judge_votes(dead_letter),
        CHAT: topics.judge_chat(dead_letter),
        EVENT: topics.judge_events(dead_letters=(dead_letter,)),
    }
    assert {name: harm(verdict) for name, verdict in verdicts.items() if harm(verdict)} == {
        topic: {"wrong": {"page7-1"}}
    }


def test_a_chat_message_that_every_language_shows_once_is_well(topics: Topics) -> None:
    topics.publish(CHAT, "one", **HELLO)
    topics.publish(CHAT, "one", **HELLO)
    verdict = topics.judge_chat(en=[entry("en")], de=[entry("de")], es=[entry("es")])
    assert harm(verdict) == {}
    assert verdict.published == 1


def test_a_chat_message_that_one_language_does_not_show_is_lost(topics: Topics) -> None:
    topics.publish(CHAT, "one", **HELLO)
    assert harm(topics.judge_chat(en=[entry("en")], es=[entry("es")])) == {"lost": {"one in de"}}


def test_a_chat_message_that_one_language_shows_twice_is_doubled(topics: Topics) -> None:
    topics.publish(CHAT, "one", **HELLO)
    verdict = topics.judge_chat(en=[entry("en")], de=[entry("de"), entry("de")], es=[entry("es")])
    assert harm(verdict) == {"doubled": {"one in de"}}


def test_a_chat_message_that_is_a_dead_letter_may_be_missing(topics: Topics) -> None:
    dead_letter = topics.publish(CHAT, "one", **HELLO)
    verdict = topics.judge_chat(dead_letter, en=[entry("en")])
    assert harm(verdict) == {}
    assert verdict.dead == {"one"}


@pytest.mark.parametrize(
    "others", [{"userID": "jordan"}, {"text": "Hello"}, {"original": "Bye"}, {"message_id": "two"}], ids=str
)
def test_an_entry_that_nobody_wrote_so_is_wrong(topics: Topics, others: dict[str, str]) -> None:
    topics.publish(CHAT, "one", **HELLO)
    verdict = topics.judge_chat(en=[entry("en")], de=[entry("de", **others)], es=[entry("es")])
    name = others.get("message_id", "one")
    assert harm(verdict) == {"lost": {"one in de"}, "wrong": {f"{name} in chat:lobby:de"}}


def test_a_chat_message_in_another_room_is_wrong(topics: Topics) -> None:
    topics.publish(CHAT, "one", **{**HELLO, "room": "garden"})
    shown = {language: [entry(language)] for language in SHOWN}
    assert harm(topics.judge_chat(**shown)).keys() == {"lost", "wrong"}


def test_an_event_may_be_sent_again_with_its_id(topics: Topics) -> None:
    topics.publish(EVENT, "one", type="lunch", detail={"number": 1})
    verdict = topics.judge_events(event("one", 1), event("one", 1))
    assert harm(verdict) == {}
    assert verdict.sent_again == 1


def test_an_event_that_is_sent_again_with_another_id_is_wrong(topics: Topics) -> None:
    topics.publish(EVENT, "one", type="lunch", detail={"number": 1})
    assert harm(topics.judge_events(event("one", 1), event("page7-1", 1))) == {"wrong": {"page7-1"}}


@pytest.mark.parametrize("sent", [event("one", 2), event("one", 1, "jordan")], ids=["detail", "user"])
def test_an_event_that_nobody_published_so_is_wrong(topics: Topics, sent: dict[str, Any]) -> None:
    topics.publish(EVENT, "one", type="lunch", detail={"number": 1})
    assert harm(topics.judge_events(sent)) == {"lost": {"one"}, "wrong": {"one"}}


def test_an_event_that_is_neither_on_the_bus_nor_a_dead_letter_is_lost(topics: Topics) -> None:
    topics.publish(EVENT, "one", type="lunch", detail={"number": 1})
    dead_letter = topics.publish(EVENT, "two", type="lunch", detail={"number": 2})
    verdict = topics.judge_events(event("three", 3, type_="of another trial"), dead_letters=(dead_letter,))
    assert harm(verdict) == {"lost": {"one"}}
    assert verdict.dead == {"two"}
