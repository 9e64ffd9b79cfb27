"""Was every accepted message stored once, under the right user, or kept as a dead letter?"""

import json
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from local.momento.topics import Message
from tests.chaos.witness import Trial


@dataclass(frozen=True)
class Comment:
    """What a message on the topic asks to be stored."""

    course: str
    text: str
    user: str

    @classmethod
    def of(cls, message: Message) -> "Comment | None":
        """Return what the message asks for; None where it asks for nothing that can be stored."""
        try:
            fields = json.loads(message.value)
            course, text = fields["courseId"], fields["comment"]
        except (KeyError, TypeError, ValueError):
            return None
        return cls(course, text, message.publisher_id) if message.publisher_id else None

    @property
    def writer(self) -> str:
        """Who wrote it, as the text says: the load's comments end on `-<user>-<number>`."""
        return self.text.split("-")[-2]


@dataclass(frozen=True)
class Verdict:
    """Ids of messages, by what became of them.

    `lost` has also the texts that were said to be published and are not even on the topic. `wrong` have
    another user, course or text than was published, or were not published at all.
    """

    stored: frozenset[str]
    dead: frozenset[str]
    lost: frozenset[str]
    doubled: frozenset[str]
    wrong: frozenset[str]

    @property
    def is_good(self) -> bool:
        """Whether nothing is lost, doubled or wrong."""
        return not (self.lost or self.doubled or self.wrong)


def courses(accepted: Mapping[str, Message]) -> set[str]:
    """Return the courses that messages are about."""
    return {comment.course for message in accepted.values() if (comment := Comment.of(message))}


def judge(trial: Trial, lists: Mapping[str, list[dict[str, Any]]], dead_letters: Iterable[str]) -> Verdict:
    """Hold what is in the lists and in the dead-letter queue against what was accepted."""
    accepted = trial.accepted
    times_stored: Counter[str] = Counter()
    wrong = set()
    for course, entries in lists.items():
        for entry in entries:
            times_stored[entry["id"]] += 1
            message = accepted.get(entry["id"])
            comment = Comment.of(message) if message else None
            if (
                comment != Comment(course, entry["comment"], entry["userID"])
                or comment.writer != comment.user
            ):
                wrong.add(entry["id"])
    stored = set(times_stored)
    dead = set(dead_letters) - stored
    texts = {comment.text for message in accepted.values() if (comment := Comment.of(message))}
    return Verdict(
        stored=frozenset(one for one, times in times_stored.items() if times == 1),
        dead=frozenset(dead & accepted.keys()),
        lost=frozenset(accepted.keys() - stored - dead | set(trial.acknowledged) - texts),
        doubled=frozenset(one for one, times in times_stored.items() if times > 1),
        wrong=frozenset(wrong | (dead - accepted.keys())),
    )
