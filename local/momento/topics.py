"""Topics: numbered messages, with a bounded history so that subscribers can resume.

A subscriber has no queue, only a cursor into its topic's history, so slow subscribers need no extra memory.
If the history no longer has the cursor's next message, the subscriber gets a `Gap`.
"""

import asyncio
import time
from collections import deque
from dataclasses import dataclass

HISTORY_MESSAGES = 1000


@dataclass(frozen=True)
class Message:
    """A published message. `publisher_id` is the publisher's token id; `published_at` is in epoch ms."""

    sequence_number: int
    sequence_page: int
    value: str | bytes
    publisher_id: str
    published_at: int


@dataclass(frozen=True)
class Gap:
    """Messages that a subscriber misses. The next message has the number `new_sequence_number + 1`.

    This follows the protocol: items resume *after* `new_topic_sequence`, and Momento's own clients resume a
    broken subscription at that number plus one.
    """

    last_sequence_number: int
    new_sequence_number: int
    sequence_page: int


def epoch_milliseconds() -> int:
    return time.time_ns() // 1_000_000


class Topic:
    """One topic. Its sequence numbers start at 1 on each sequence page; a reset starts a new page.

    Momento documents that sequence numbers fall back to 0 after the topic was idle. This server takes that
    as the number of messages so far, so the next message has number 1.

    Sequence pages come from the clock, so they increase with each reset and each run of the server.
    """

    def __init__(self) -> None:
        self.sequence_page = epoch_milliseconds()
        self.next_sequence_number = 1
        self.subscribers = 0
        self.is_deleted = False
        self._history: deque[Message] = deque(maxlen=HISTORY_MESSAGES)
        self._changed = asyncio.Event()
        self._published_at = time.monotonic()

    @property
    def oldest_sequence_number(self) -> int:
        """Return the number of the oldest message in the history, or of the next one if it is empty."""
        return self.next_sequence_number - len(self._history)

    @property
    def latest_sequence_number(self) -> int:
        """Return the number of the latest message in the history, or of the next one if it is empty."""
        return max(self.oldest_sequence_number, self.next_sequence_number - 1)

    @property
    def idle_seconds(self) -> float:
        return time.monotonic() - self._published_at

    def publish(self, value: str | bytes, publisher_id: str) -> Message:
        """Number and store a message, and wake the subscribers."""
        message = Message(
            self.next_sequence_number, self.sequence_page, value, publisher_id, epoch_milliseconds()
        )
        self._history.append(message)
        self.next_sequence_number += 1
        self._published_at = time.monotonic()
        self._notify()
        return message

    def message(self, sequence_number: int) -> Message:
        """Return a message in the history."""
        return self._history[sequence_number - self.oldest_sequence_number]

    def reset(self) -> None:
        """Empty the history, and restart the sequence numbers on a new, larger page."""
        self.sequence_page = max(self.sequence_page + 1, epoch_milliseconds())
        self.next_sequence_number = 1
        self._history.clear()
        self._notify()

    def delete(self) -> None:
        """Mark the topic as deleted, and wake the subscribers."""
        self.is_deleted = True
        self._notify()

    async def wait_for_change(self, timeout_seconds: float) -> bool:
        """Wait for a message, a reset or the deletion. Return False if there was none in time."""
        try:
            async with asyncio.timeout(timeout_seconds):
                await self._changed.wait()
        except TimeoutError:
            return False
        return True

    def _notify(self) -> None:
        self._changed.set()
        self._changed = asyncio.Event()


class Cursor:
    """The position of one subscriber."""

    def __init__(self, topic: Topic, resume_at: int = 0, sequence_page: int = 0) -> None:
        """Start at message `resume_at` of `sequence_page` (0: the current page).

        With `resume_at` 0, start at the latest message in the history, as Momento's protocol says
        (`_SubscriptionRequest` in cachepubsub.proto), or at the next message if the history is empty.
        """
        self._topic = topic
        if resume_at:
            self._next, self._page = resume_at, sequence_page or topic.sequence_page
        else:
            self._next, self._page = topic.latest_sequence_number, topic.sequence_page

    def read(self) -> Message | Gap | None:
        """Return the next message, the gap before it, or None if there is no new message."""
        topic = self._topic
        oldest, following = topic.oldest_sequence_number, topic.next_sequence_number
        if self._page != topic.sequence_page or self._next < oldest:
            return self._skip_to(oldest)
        if self._next > following:
            return self._skip_to(following)
        if self._next == following:
            return None
        self._next += 1
        return topic.message(self._next - 1)

    def _skip_to(self, sequence_number: int) -> Gap:
        gap = Gap(self._next - 1, sequence_number - 1, self._topic.sequence_page)
        self._next, self._page = sequence_number, self._topic.sequence_page
        return gap


class Topics:
    """All topics, by cache and name. `get` creates a topic if needed."""

    def __init__(self, idle_reset_seconds: float) -> None:
        """Reset a topic if it had no message for `idle_reset_seconds`."""
        self._topics: dict[tuple[str, str], Topic] = {}
        self._idle_reset_seconds = idle_reset_seconds

    def get(self, cache: str, name: str) -> Topic:
        topic = self._topics.setdefault((cache, name), Topic())
        if self._is_idle(topic) and topic.next_sequence_number > 1:
            topic.reset()
        return topic

    def delete_cache(self, cache: str) -> None:
        """Delete the topics of a cache."""
        for key in [key for key in self._topics if key[0] == cache]:
            self._topics.pop(key).delete()

    def sweep(self) -> None:
        """Remove idle topics without subscribers. The next message would reset them anyway."""
        for key, topic in list(self._topics.items()):
            if self._is_idle(topic) and not topic.subscribers:
                del self._topics[key]

    def _is_idle(self, topic: Topic) -> bool:
        return topic.idle_seconds > self._idle_reset_seconds
