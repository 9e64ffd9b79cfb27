"""What is seen of messages on their way, from the topic to where they are stored."""

import json
import time
from collections import Counter, defaultdict
from dataclasses import dataclass, field

from local.lambda_host.host import FUNCTION_URL, AnsweredRequest
from local.momento.topics import Message
from local.stack import StackObserver

_ENDS_WELL = {"stored", "duplicate", "found written", "stored without a record of it"}


def message_id(message: Message) -> str:
    """Return the id under which a message is stored."""
    return f"page{message.sequence_page}-{message.sequence_number}"


@dataclass
class Trial:
    """What was seen while one fault was tried."""

    fault: str
    accepted: dict[str, Message] = field(default_factory=dict)
    """All that Momento has put on the topic, by id: the truth that all else is held against."""
    acknowledged: list[str] = field(default_factory=list)
    """Texts whose publishers were told that they are published."""
    unacknowledged: int = 0
    """Messages whose publishers were told otherwise, or nothing; they may be on the topic or not."""
    answers: defaultdict[str, list[int]] = field(default_factory=lambda: defaultdict(list))
    """The webhook's answers to each message."""
    stored_at: dict[str, float] = field(default_factory=dict)
    """When the webhook first said of a message that it is stored, in epoch seconds."""
    counts: Counter[str] = field(default_factory=Counter)
    """Of the functions: log messages, and metrics by their names."""
    began: float = field(default_factory=time.monotonic)

    @property
    def longest_delay(self) -> float:
        """Seconds from publishing to storing, at most."""
        return max(
            (at - self.accepted[one].published_at / 1000 for one, at in self.stored_at.items()), default=0.0
        )


class Witness(StackObserver):
    """Notes it all in the present `trial`."""

    def __init__(self) -> None:
        self.trial = Trial("none")

    def message_published(self, message: Message) -> None:
        self.trial.accepted[message_id(message)] = message

    def request_answered(self, request: AnsweredRequest) -> None:
        if request.server != FUNCTION_URL:
            return
        try:
            fields = json.loads(request.body)
            one = f"page{fields['topic_sequence_page']}-{fields['topic_sequence_number']}"
        except (KeyError, ValueError):
            return
        self.trial.answers[one].append(request.status)

    def function_logged(self, function: str, line: str) -> None:
        if not line.startswith("{"):
            return
        try:
            fields = json.loads(line)
        except ValueError:
            return
        for metric in _metrics(fields):
            values = fields.get(metric, 0)
            self.trial.counts[metric] += int(sum(values) if isinstance(values, list) else values)
        message, one = fields.get("message"), fields.get("message_id")
        self.trial.counts[f"{function}: {message}"] += 1
        if message in _ENDS_WELL and one in self.trial.accepted:
            self.trial.stored_at.setdefault(one, time.time())


def _metrics(fields: dict[str, object]) -> list[str]:
    """Return the names of the metrics in a line of the embedded metric format."""
    match fields.get("_aws"):
        case {"CloudWatchMetrics": [{"Metrics": metrics}]}:
            return [metric["Name"] for metric in metrics]
        case _:
            return []
