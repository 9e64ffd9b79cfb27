"""Momento's limits. Sizes are always enforced, rates only with `MomentoServerConfig.rate_limits`.

The longest time to live (`MAX_TTL_SECONDS`) is reported but not enforced: an account may have a longer one,
and Momento does not document its error.
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
    """Raise INVALID_ARGUMENT if a time to live is not positive or too large."""
    if not 0 < milliseconds <= _MAX_MILLISECONDS:
        raise invalid_argument(f"TTL must be between 1 and {_MAX_MILLISECONDS} milliseconds")


def check_item_size(size: int) -> None:
    """Raise RESOURCE_EXHAUSTED if an item is larger than 1 MB (`size` in bytes)."""
    if size > MAX_ITEM_BYTES:
        raise limit_exceeded(
            f"Item size limit exceeded: {size} bytes, at most {MAX_ITEM_BYTES}", "item_size_limit_exceeded"
        )


def check_element_size(size: int) -> None:
    """Raise RESOURCE_EXHAUSTED if an element of a collection is larger than 128 KB (`size` in bytes)."""
    if size > MAX_ELEMENT_BYTES:
        raise limit_exceeded(
            f"Element size limit exceeded: {size} bytes, at most {MAX_ELEMENT_BYTES}",
            "element_size_limit_exceeded",
        )


def check_message_size(size: int) -> None:
    """Raise RESOURCE_EXHAUSTED if a topic message is larger than 4 KB (`size` in bytes)."""
    if size > MAX_MESSAGE_BYTES:
        raise limit_exceeded(
            f"Request size limit exceeded: a message of {size} bytes, at most {MAX_MESSAGE_BYTES}",
            "request_size_limit_exceeded",
        )


class RateLimits:
    """The account's rate limits. If they are not enforced, they allow everything."""

    def __init__(self, *, enforced: bool) -> None:
        self._enforced = enforced
        self._topic_operations = _bucket(TOPIC_OPERATIONS_PER_SECOND)
        self._control_calls = _bucket(CONTROL_CALLS_PER_SECOND)
        self._mints = _bucket(MINTS_PER_SECOND)
        self._subscriptions = 0

    def count_control_call(self) -> None:
        self._require(self._control_calls, "control operations")

    def count_mint(self) -> None:
        self._require(self._mints, "token generation operations")

    def count_publish(self) -> None:
        self._require(self._topic_operations, "topic operations")

    def allow_delivery(self) -> bool:
        """Return whether one message may be delivered now, to a subscriber or a webhook."""
        return not self._enforced or self._topic_operations.take()

    @contextmanager
    def subscription(self) -> Iterator[None]:
        """Count one of the account's subscriptions while the context is open."""
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


def _bucket(per_second: int) -> TokenBucket:
    return TokenBucket(per_second=per_second, burst=per_second)
