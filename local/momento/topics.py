"""Topics: numbered messages, the last of which are kept so that subscribers can resume.

A subscriber has no queue of its own. It is a cursor into its topic's bounded history: one that resumes is
a cursor put back, and one that reads too slowly falls out of the history's far end. Either way what it
missed is a `Gap`, and memory does not grow with slow subscribers.
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
    """Messages that a subscriber does not get. The next one is number `new_sequence_number + 1`.

    That off-by-one is the protocol's: items resume *after* `new_topic_sequence`, and Momento's own clients
    resume a broken subscription at that number plus one.
    """

    last_sequence_number: int
    new_sequence_number: int
    sequence_page: int


def epoch_milliseconds() -> int:
    return time.time_ns() // 1_000_000


class Topic:
    """One topic. Its sequence numbers count up from 1 on one sequence page, until it is reset.

    Momento says that they fall back to 0 after the topic has been idle. That is read as the count of the
    messages so far: the next message is number 1 again.

    Pages are taken from the clock, so that they grow from reset to reset, and from one run of the server
    to the next.
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
        """The number of the oldest message still held; of the next one when none is."""
        return self.next_sequence_number - len(self._history)

    @property
    def latest_sequence_number(self) -> int:
        """Return the number of the latest message still held, or of the next one when none is."""
        return max(self.oldest_sequence_number, self.next_sequence_number - 1)

    @property
    def idle_seconds(self) -> float:
        return time.monotonic() - self._published_at

    def publish(self, value: str | bytes, publisher_id: str) -> Message:
        """Number and keep a message, and wake the subscribers."""
        message = Message(
            self.next_sequence_number, self.sequence_page, value, publisher_id, epoch_milliseconds()
        )
        self._history.append(message)
        self.next_sequence_number += 1
        self._published_at = time.monotonic()
        self._notify()
        return message

    def held(self, sequence_number: int) -> Message:
        return self._history[sequence_number - self.oldest_sequence_number]

    def reset(self) -> None:
        """Start numbering anew on a new, larger page."""
        self.sequence_page = max(self.sequence_page + 1, epoch_milliseconds())
        self.next_sequence_number = 1
        self._history.clear()
        self._notify()

    def delete(self) -> None:
        """The topic's cache is gone: let subscribers find out."""
        self.is_deleted = True
        self._notify()

    async def wait_for_change(self, timeout_seconds: float) -> bool:
        """Wait for a message, a reset or the deletion. False when none came in time."""
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
    """How far one subscriber has read."""

    def __init__(self, topic: Topic, resume_at: int = 0, sequence_page: int = 0) -> None:
        """Begin at message `resume_at` of `sequence_page` (0: the current page).

        With `resume_at` 0, begin with the latest message that is held, as Momento's protocol says
        (`_SubscriptionRequest` in cachepubsub.proto); where none is, with the next one that is published.
        """
        self._topic = topic
        if resume_at:
            self._next, self._page = resume_at, sequence_page or topic.sequence_page
        else:
            self._next, self._page = topic.latest_sequence_number, topic.sequence_page

    def read(self) -> Message | Gap | None:
        """The next message, or what is missing before it, or None: nothing yet."""
        topic = self._topic
        oldest, following = topic.oldest_sequence_number, topic.next_sequence_number
        if self._page != topic.sequence_page or self._next < oldest:
            return self._jump(oldest)
        if self._next > following:
            return self._jump(following)
        if self._next == following:
            return None
        self._next += 1
        return topic.held(self._next - 1)

    def _jump(self, sequence_number: int) -> Gap:
        gap = Gap(self._next - 1, sequence_number - 1, self._topic.sequence_page)
        self._next, self._page = sequence_number, self._topic.sequence_page
        return gap


class Topics:
    """All topics, by cache and name. One that is asked for exists."""

    def __init__(self, idle_reset_seconds: float) -> None:
        """`idle_reset_seconds`: a topic that had no message for so long starts anew with the next one."""
        self._topics: dict[tuple[str, str], Topic] = {}
        self._idle_reset_seconds = idle_reset_seconds

    def get(self, cache: str, name: str) -> Topic:
        topic = self._topics.setdefault((cache, name), Topic())
        if self._is_idle(topic) and topic.next_sequence_number > 1:
            topic.reset()
        return topic

    def delete_cache(self, cache: str) -> None:
        """Forget the topics of a cache that is being deleted."""
        for key in [key for key in self._topics if key[0] == cache]:
            self._topics.pop(key).delete()

    def sweep(self) -> None:
        """Free idle topics that nobody listens to: the next message would start them anew in any case."""
        for key, topic in list(self._topics.items()):
            if self._is_idle(topic) and not topic.subscribers:
                del self._topics[key]

    def _is_idle(self, topic: Topic) -> bool:
        return topic.idle_seconds > self._idle_reset_seconds
