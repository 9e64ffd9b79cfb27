"""Was every accepted message stored once, in order, under the right user, or kept as a dead letter?"""

import json
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from local.momento.topics import Message
from tests.chaos.witness import Trial, sender_id


@dataclass(frozen=True)
class Comment:
    """What a sender's message asks to be stored. No sender says the same twice."""

    course: str
    text: str
    user: str

    @classmethod
    def of(cls, message: Message) -> "Comment | None":
        """Return the comment in the message, or None if it has none that can be stored."""
        try:
            fields = json.loads(message.value)
            course, text = fields["courseId"], fields["comment"]
        except (KeyError, TypeError, ValueError):
            return None
        return cls(course, text, message.publisher_id) if message.publisher_id else None

    @property
    def writer(self) -> str:
        """Return the writer, from the text: the load's comments end with `-<user>-<number>`."""
        return self.text.split("-")[-2]


@dataclass(frozen=True)
class Verdict:
    """What became of the senders' messages, each named by the topic id of its first publication.

    - `published`: they are on the topic; `repeated`: publications beyond the first.
    - `dead`: they are not stored, and in the dead-letter queue.
    - `lost`: they are in neither, or their text was said to be published and is not even on the topic.
    - `doubled`: two entries have the same id. `double_published`: two entries of one message differ in it.
    - `reordered`: they are stored after what the same user published later, and did not pass the spill queue.
    - `wrong`: entries, by their ids, with another user, course, text or id than was published.
    """

    published: frozenset[str]
    repeated: int
    stored: frozenset[str]
    dead: frozenset[str]
    lost: frozenset[str]
    doubled: frozenset[str]
    double_published: frozenset[str]
    reordered: frozenset[str]
    wrong: frozenset[str]

    @property
    def harm(self) -> dict[str, frozenset[str]]:
        """Return the harmed messages, by kind of harm."""
        return {
            "lost": self.lost,
            "doubled": self.doubled,
            "double-published": self.double_published,
            "reordered": self.reordered,
            "wrong": self.wrong,
        }

    @property
    def is_good(self) -> bool:
        """Return whether there was no harm."""
        return not any(self.harm.values())


def courses(accepted: Mapping[str, Message]) -> set[str]:
    """Return the courses that messages are about."""
    return {comment.course for message in accepted.values() if (comment := Comment.of(message))}


def judge(trial: Trial, lists: Mapping[str, list[dict[str, Any]]], dead_letters: Iterable[str]) -> Verdict:
    """Compare what is in the lists, newest first, and in the dead-letter queue with what was accepted."""
    accepted = trial.accepted
    publications: dict[Comment | str, list[str]] = defaultdict(list)
    for one, message in accepted.items():
        publications[Comment.of(message) or one].append(one)
    first = {what: ones[0] for what, ones in publications.items()}

    ids_stored: dict[Comment, Counter[str]] = defaultdict(Counter)
    wrong = set()
    for course, entries in lists.items():
        for entry in entries:
            comment = Comment(course, entry["comment"], entry["userID"])
            ids = {*publications.get(comment, ()), *_sender_ids(accepted, publications.get(comment, ()))}
            if entry["id"] not in ids or comment.writer != comment.user:
                wrong.add(entry["id"])
            else:
                ids_stored[comment][entry["id"]] += 1

    dead_ids = set(dead_letters)
    texts = {what.text for what in publications if isinstance(what, Comment)}
    lost = set(trial.acknowledged) - texts
    dead = set()
    for what, ones in publications.items():
        if what in ids_stored:
            continue
        if dead_ids.isdisjoint(ones):
            lost.add(first[what])
        else:
            dead.add(first[what])
    return Verdict(
        published=frozenset(first.values()),
        repeated=len(accepted) - len(first),
        stored=frozenset(first[comment] for comment, ids in ids_stored.items() if ids.total() == 1),
        dead=frozenset(dead),
        lost=frozenset(lost),
        doubled=frozenset(
            first[comment] for comment, ids in ids_stored.items() if any(times > 1 for times in ids.values())
        ),
        double_published=frozenset(first[comment] for comment, ids in ids_stored.items() if len(ids) > 1),
        reordered=frozenset(first[comment] for comment in _reordered(trial, lists, publications)),
        wrong=frozenset(wrong | (dead_ids - accepted.keys())),
    )


def _sender_ids(accepted: Mapping[str, Message], ones: Iterable[str]) -> set[str]:
    return {given for one in ones if (given := sender_id(accepted[one]))}


def _reordered(
    trial: Trial,
    lists: Mapping[str, list[dict[str, Any]]],
    publications: Mapping[Comment | str, list[str]],
) -> set[Comment]:
    """Return the comments that stand in a list before (as older) what their user had published earlier."""
    order = {
        what: number
        for number, (what, ones) in enumerate(publications.items())
        if all(trial.came_by_relay(one) for one in ones)
    }
    reordered = set()
    for course, entries in lists.items():
        latest: dict[str, int] = {}
        seen = set()
        for entry in reversed(entries):
            comment = Comment(course, entry["comment"], entry["userID"])
            if comment in seen or comment not in order:
                continue
            seen.add(comment)
            if order[comment] < latest.get(comment.user, -1):
                reordered.add(comment)
            else:
                latest[comment.user] = order[comment]
    return reordered
