"""Is every vote counted, every chat message shown once in each language, and every event on the bus?

Comments have a verdict of their own. Here, messages are named by the ids that their senders gave them.
"""

import json
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from local.momento.topics import Message
from tests.chaos.witness import CHAT, EVENT, POLL, DeadLetter, Trial, sender_id

CHOICES = ("coffee", "tea", "water")
LANGUAGES = ("en", "de", "es")


@dataclass(frozen=True)
class TopicVerdict:
    """What became of the messages on one topic.

    - `lost`: nothing shows them, and they are not in the dead-letter queue; or they were said to be published
      and are not on the topic.
    - `doubled`: they are shown twice, which their topic must not do.
    - `wrong`: what is shown is not what was published.
    - `sent_again`: how often a message was sent again with the same publisher and id, which its topic may do.
    """

    topic: str
    published: int
    dead: frozenset[str]
    lost: frozenset[str]
    doubled: frozenset[str] = frozenset()
    wrong: frozenset[str] = frozenset()
    sent_again: int = 0

    @property
    def harm(self) -> dict[str, frozenset[str]]:
        """Return the harmed messages, by kind of harm."""
        return {"lost": self.lost, "doubled": self.doubled, "wrong": self.wrong}

    @property
    def is_good(self) -> bool:
        """Return whether there was no harm."""
        return not any(self.harm.values())


class _Published:
    """The messages on a topic, in the order of their first publications."""

    def __init__(self, trial: Trial, topic: str, dead_letters: Iterable[DeadLetter]) -> None:
        self.messages: dict[str, Message] = {}
        publications: dict[str, set[DeadLetter]] = {}
        for one, message in trial.accepted_on[topic].items():
            name = sender_id(message) or one
            self.messages.setdefault(name, message)
            publications.setdefault(name, set()).add((topic, one))
        dead = {letter for letter in dead_letters if letter[0] == topic}
        self.dead = frozenset(name for name, ones in publications.items() if ones <= dead)
        """Messages all of whose publications are in the dead-letter queue."""
        self.alive = {name: self.fields(name) for name in self.messages if name not in self.dead}
        """The fields of all other messages."""
        self.vanished = frozenset(trial.acknowledged_ids[topic] - self.messages.keys())
        """Messages that were said to be published and are not on the topic."""
        unknown = dead - {letter for ones in publications.values() for letter in ones}
        self.unknown_dead = frozenset(one for _, one in unknown)

    def fields(self, name: str) -> dict[str, Any]:
        """Return what a message says."""
        fields: dict[str, Any] = json.loads(self.messages[name].value)
        return fields


def judge_votes(trial: Trial, tally: Mapping[str, int], dead_letters: Iterable[DeadLetter]) -> TopicVerdict:
    """Compare the tally of a poll with the last vote of each voter."""
    published = _Published(trial, POLL, dead_letters)
    votes = {
        published.messages[name].publisher_id: fields["choice"] for name, fields in published.alive.items()
    }
    expected = {choice: list(votes.values()).count(choice) for choice in CHOICES}
    wrong = frozenset() if expected == tally else frozenset({f"the tally is {dict(tally)}, not {expected}"})
    return TopicVerdict(
        POLL,
        len(published.messages),
        published.dead,
        lost=published.vanished,
        wrong=published.unknown_dead | wrong,
    )


def channels(trial: Trial) -> set[str]:
    """Return the cache keys of the rooms' histories in each language."""
    rooms = {json.loads(message.value)["room"] for message in trial.accepted_on[CHAT].values()}
    return {_channel(room, language) for room in rooms for language in LANGUAGES}


def _channel(room: str, language: str) -> str:
    return f"chat:{room}:{language}"


def judge_chat(
    trial: Trial, histories: Mapping[str, list[dict[str, Any]]], dead_letters: Iterable[DeadLetter]
) -> TopicVerdict:
    """Compare the histories, by their cache keys, with what was said in the rooms."""
    published = _Published(trial, CHAT, dead_letters)
    shown: Counter[tuple[str, str]] = Counter()
    wrong = set()
    for channel, entries in histories.items():
        language = channel.rpartition(":")[2]
        for entry in entries:
            name = entry["id"]
            if name in published.messages and _shows(entry, channel, published.messages[name]):
                shown[name, language] += 1
            else:
                wrong.add(f"{name} in {channel}")
    expected = {(name, language) for name in published.alive for language in LANGUAGES}
    return TopicVerdict(
        CHAT,
        len(published.messages),
        published.dead,
        lost=published.vanished | {f"{name} in {language}" for name, language in expected - shown.keys()},
        doubled=frozenset(f"{name} in {language}" for (name, language), times in shown.items() if times > 1),
        wrong=published.unknown_dead | wrong,
    )


def _shows(entry: Mapping[str, Any], channel: str, message: Message) -> bool:
    """Return whether an entry of a history is what a message says, in the language of the history."""
    said = json.loads(message.value)
    language = channel.rpartition(":")[2]
    text = said["text"] if language == said["language"] else f"[{language}] {said['text']}"
    return (channel, entry["userID"], entry["original"], entry["text"]) == (
        _channel(said["room"], language),
        message.publisher_id,
        said["text"],
        text,
    )


def judge_events(
    trial: Trial, events: Iterable[Mapping[str, Any]], dead_letters: Iterable[DeadLetter]
) -> TopicVerdict:
    """Compare the events that the bus has sent to its target, of this trial and others, with those published.

    An event may be sent again, with the same publisher and id.
    """
    published = _Published(trial, EVENT, dead_letters)
    sent: Counter[str] = Counter()
    wrong = set()
    for event in events:
        if event["detail-type"] != trial.fault:
            continue
        detail = event["detail"]
        name = detail["id"]
        said = published.fields(name)["detail"] if name in published.messages else None
        if said == detail["detail"] and detail["userID"] == published.messages[name].publisher_id:
            sent[name] += 1
        else:
            wrong.add(name)
    return TopicVerdict(
        EVENT,
        len(published.messages),
        published.dead,
        lost=published.vanished | (published.alive.keys() - sent.keys()),
        wrong=published.unknown_dead | wrong,
        sent_again=sent.total() - len(sent),
    )
