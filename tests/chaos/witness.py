"""What is seen of messages on their way, from the topic to where they are stored."""

import json
import time
from collections import Counter, defaultdict
from dataclasses import dataclass, field

from local.lambda_host.host import FUNCTION_URL, AnsweredRequest
from local.momento.topics import Message
from local.stack.local_stack import StackObserver, ends_delivery

COMMENT = "comment"
POLL = "poll"
CHAT = "chat"
EVENT = "event"
TOPICS = (COMMENT, POLL, CHAT, EVENT)
"""The topics of the load. The webhook publishes on others, such as `poll-results`."""

DeadLetter = tuple[str, str]
"""The topic and the topic id of a message."""

_ENDS_WELL = {"stored", "duplicate", "found done", "found written", "done without a record"}


def topic_id(page: int, number: int) -> str:
    """Return the id of a message on its topic, which it has for the system too if its sender gave it none."""
    return f"page{page}-{number}"


def sender_id(message: Message) -> str | None:
    """Return the id that the sender gave a message, or None."""
    try:
        given = json.loads(message.value).get("id")
    except (AttributeError, ValueError):
        return None
    return given if isinstance(given, str) else None


@dataclass
class Trial:
    """What was seen while one fault was tried. Messages are named by their `topic_id`.

    `accepted_on` and `acknowledged_ids` are about all topics, and everything else is about comments.
    """

    fault: str
    accepted_on: dict[str, dict[str, Message]] = field(
        default_factory=lambda: {topic: {} for topic in TOPICS}
    )
    """All that Momento has put on each topic, in its order: the truth that all else is compared with."""
    acknowledged: list[str] = field(default_factory=list)
    """Texts whose publishers were told that they are published."""
    acknowledged_ids: dict[str, set[str]] = field(default_factory=lambda: {topic: set() for topic in TOPICS})
    """The senders' ids of such messages on topics other than comments."""
    unacknowledged: int = 0
    """Messages whose publishers were told otherwise, or nothing; they may be on the topic or not."""
    answers: defaultdict[str, list[int]] = field(default_factory=lambda: defaultdict(list))
    """The webhook's answers to each message."""
    delivered: set[str] = field(default_factory=set)
    """Messages that the webhook has stored, kept or refused for good."""
    aside: set[str] = field(default_factory=set)
    """Messages that did not come by the relay alone: a copy was sent, or the webhook has spilled it."""
    stored_at: dict[str, float] = field(default_factory=dict)
    """When the webhook first said of a message that it is stored, in epoch seconds; in this order."""
    counts: Counter[str] = field(default_factory=Counter)
    """Of the functions: log messages, and metrics by their names."""
    faults: list[str] = field(default_factory=list)
    """What was put on the system, by name."""
    by_sender_id: dict[str, str] = field(default_factory=dict)

    @property
    def accepted(self) -> dict[str, Message]:
        """Return the comments that Momento has put on their topic."""
        return self.accepted_on[COMMENT]

    @property
    def undelivered(self) -> int:
        """Return how many messages Momento or the relay still holds."""
        return len(self.accepted) - len(self.delivered)

    def came_by_relay(self, message: str) -> bool:
        """Return whether only the relay has delivered a message, which must then be stored in order."""
        return message not in self.aside and any(status < 300 for status in self.answers[message])

    def undelivered_of(self, user: str) -> int:
        """Return how many undelivered messages are from one user."""
        waiting = self.accepted.keys() - self.delivered
        return sum(self.accepted[one].publisher_id == user for one in waiting)

    @property
    def longest_delay(self) -> float:
        """Return the longest time from publishing to storing, in seconds."""
        return max(
            (at - self.accepted[one].published_at / 1000 for one, at in self.stored_at.items()), default=0.0
        )


class Witness(StackObserver):
    """Notes it all in the present `trial`."""

    def __init__(self) -> None:
        self.trial = Trial("none")

    def message_published(self, topic: str, message: Message) -> None:
        if topic not in TOPICS:
            return
        one = topic_id(message.sequence_page, message.sequence_number)
        self.trial.accepted_on[topic][one] = message
        if topic == COMMENT and (given := sender_id(message)):
            self.trial.by_sender_id.setdefault(given, one)

    def request_answered(self, request: AnsweredRequest) -> None:
        if request.server != FUNCTION_URL:
            return
        try:
            fields = json.loads(request.body)
            topic = fields["topic"]
            one = topic_id(fields["topic_sequence_page"], fields["topic_sequence_number"])
        except (KeyError, ValueError):
            return
        trial = self.trial
        if topic != COMMENT or one not in trial.accepted:
            return
        trial.answers[one].append(request.status)
        if request.status == 200:
            trial.stored_at.setdefault(one, time.time())
        elif request.status == 202:
            trial.aside.add(one)
        if ends_delivery(request.status):
            trial.delivered.add(one)

    def function_logged(self, function: str, line: str) -> None:
        if not line.startswith("{"):
            return
        try:
            fields = json.loads(line)
        except ValueError:
            return
        trial = self.trial
        for metric in _metrics(fields):
            values = fields.get(metric, 0)
            trial.counts[metric] += int(sum(values) if isinstance(values, list) else values)
        message, logged_id = fields.get("message"), fields.get("message_id")
        trial.counts[f"{function}: {message}"] += 1
        one = trial.by_sender_id.get(str(logged_id), logged_id)
        if message in _ENDS_WELL and fields.get("topic") == COMMENT and one in trial.accepted:
            trial.stored_at.setdefault(one, time.time())
            trial.delivered.add(one)


def _metrics(fields: dict[str, object]) -> list[str]:
    """Return the names of the metrics in a line of the embedded metric format."""
    match fields.get("_aws"):
        case {"CloudWatchMetrics": [{"Metrics": metrics}]}:
            return [metric["Name"] for metric in metrics]
        case _:
            return []
