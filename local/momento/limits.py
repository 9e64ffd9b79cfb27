"""Momento's limits: sizes, which always hold, and rates, which hold only where they are asked for.

The longest time to live is only announced (`MAX_TTL_SECONDS`): an account may have more, and what Momento
answers to longer ones is not documented.
"""

from collections.abc import Iterator
from contextlib import contextmanager

from local.momento.errors import invalid_argument, limit_exceeded
from local.serving.token_bucket import TokenBucket

# Sources: Momento's service limits page and, for topics and tokens, the account's default quota.
MAX_ITEM_BYTES = 1024 * 1024
MAX_ELEMENT_BYTES = 128 * 1024
MAX_MESSAGE_BYTES = 4 * 1024
MAX_TTL_SECONDS = 24 * 60 * 60
MAX_TOKEN_SECONDS = 25 * 60 * 60
MAX_TOKEN_ID_CHARACTERS = 64
MAX_PERMISSIONS = 20
TOPIC_OPERATIONS_PER_SECOND = 10
SUBSCRIPTIONS = 100
CONTROL_CALLS_PER_SECOND = 5
MINTS_PER_SECOND = 5
_MAX_MILLISECONDS = 2**63 - 1


def check_ttl(milliseconds: int) -> None:
    """Raise INVALID_ARGUMENT for a time to live that is none, or that no clock can count."""
    if not 0 < milliseconds <= _MAX_MILLISECONDS:
        raise invalid_argument(f"TTL must be between 1 and {_MAX_MILLISECONDS} milliseconds")


def check_item_size(size: int) -> None:
    """Raise RESOURCE_EXHAUSTED for an item of more than 1 MB (`size` in bytes)."""
    if size > MAX_ITEM_BYTES:
        raise limit_exceeded(
            f"Item size limit exceeded: {size} bytes, at most {MAX_ITEM_BYTES}", "item_size_limit_exceeded"
        )


def check_element_size(size: int) -> None:
    """Raise RESOURCE_EXHAUSTED for an element of a collection of more than 128 KB (`size` in bytes)."""
    if size > MAX_ELEMENT_BYTES:
        raise limit_exceeded(
            f"Element size limit exceeded: {size} bytes, at most {MAX_ELEMENT_BYTES}",
            "element_size_limit_exceeded",
        )


def check_message_size(size: int) -> None:
    """Raise RESOURCE_EXHAUSTED for a topic message of more than 4 KB (`size` in bytes)."""
    if size > MAX_MESSAGE_BYTES:
        raise limit_exceeded(
            f"Request size limit exceeded: a message of {size} bytes, at most {MAX_MESSAGE_BYTES}",
            "request_size_limit_exceeded",
        )


class RateLimits:
    """The account's rates. When they are not enforced, everything is let through."""

    def __init__(self, *, enforced: bool) -> None:
        self._enforced = enforced
        self._topic_operations = _a_second_of(TOPIC_OPERATIONS_PER_SECOND)
        self._control_calls = _a_second_of(CONTROL_CALLS_PER_SECOND)
        self._mints = _a_second_of(MINTS_PER_SECOND)
        self._subscriptions = 0

    def count_control_call(self) -> None:
        self._require(self._control_calls, "control operations")

    def count_mint(self) -> None:
        self._require(self._mints, "token generation operations")

    def count_publish(self) -> None:
        self._require(self._topic_operations, "topic operations")

    def allow_delivery(self) -> bool:
        """Whether one message may be delivered now, to a subscriber or to a webhook."""
        return not self._enforced or self._topic_operations.take()

    @contextmanager
    def subscription(self) -> Iterator[None]:
        """Hold one of the account's subscriptions for as long as the context lasts."""
        if self._enforced and self._subscriptions >= SUBSCRIPTIONS:
            raise limit_exceeded(
                f"Subscribe limit exceeded: at most {SUBSCRIPTIONS} subscriptions",
                "topic_subscriptions_limit_exceeded",
            )
        self._subscriptions += 1
        try:
            yield
        finally:
            self._subscriptions -= 1

    def _require(self, rate: TokenBucket, what: str) -> None:
        if self._enforced and not rate.take():
            raise limit_exceeded(f"Rate limit exceeded: too many {what}", "operations_rate_limit_exceeded")


def _a_second_of(operations: int) -> TokenBucket:
    return TokenBucket(per_second=operations, burst=operations)
