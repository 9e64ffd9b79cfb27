"""`cache_client.pubsub.Pubsub`: publish to topics and subscribe to them."""

import time
from collections.abc import AsyncGenerator, Callable

from momento_wire_types import cachepubsub_pb2 as pb
from momento_wire_types import cachepubsub_pb2_grpc, common_pb2

from local.momento.auth import Caller
from local.momento.calls import Call
from local.momento.errors import cache_not_found, invalid_argument, unauthenticated
from local.momento.limits import RateLimits, check_message_size
from local.momento.store import Caches
from local.momento.topics import Cursor, Gap, Message, Topics
from local.momento.webhooks import Webhooks


class PubsubService(cachepubsub_pb2_grpc.PubsubServicer):
    """The publish and subscribe calls of the SDKs."""

    def __init__(
        self,
        caches: Caches,
        topics: Topics,
        webhooks: Webhooks,
        rate_limits: RateLimits,
        *,
        heartbeat_seconds: float,
        on_message: Callable[[str, Message], None],
    ) -> None:
        """Send a heartbeat on each subscription after `heartbeat_seconds` without a message.

        `on_message` is called with the topic's name and the message after each publish.
        """
        self._caches = caches
        self._topics = topics
        self._webhooks = webhooks
        self._rate_limits = rate_limits
        self._heartbeat_seconds = heartbeat_seconds
        self._on_message = on_message

    async def Publish(self, request: pb._PublishRequest, call: Call) -> common_pb2._Empty:
        if call.cache_name not in self._caches:
            raise cache_not_found(call.cache_name)
        value = _value(request.value)
        check_message_size(len(value.encode() if isinstance(value, str) else value))
        self._rate_limits.count_publish()
        topic = self._topics.get(call.cache_name, request.topic)
        message = topic.publish(value, call.caller.token_id)
        self._on_message(request.topic, message)
        self._webhooks.deliver(call.cache_name, request.topic, message)
        return common_pb2._Empty()

    async def Subscribe(
        self, request: pb._SubscriptionRequest, call: Call
    ) -> AsyncGenerator[pb._SubscriptionItem, None]:
        """Yield the topic's messages until the caller disconnects.

        An expired token ends the subscription with UNAUTHENTICATED, a deleted cache with NOT_FOUND.
        """
        if call.cache_name not in self._caches:
            raise cache_not_found(call.cache_name)
        with self._rate_limits.subscription():
            topic = self._topics.get(call.cache_name, request.topic)
            cursor = Cursor(topic, request.resume_at_topic_sequence_number, request.sequence_page)
            topic.subscribers += 1
            try:
                # The SDKs expect a heartbeat as the first item; otherwise they report a failed subscription.
                yield pb._SubscriptionItem(heartbeat={})
                skipped = 0
                while True:
                    _require_unexpired(call.caller)
                    if topic.is_deleted:
                        raise cache_not_found(call.cache_name)
                    match cursor.read():
                        case Message() as message if self._rate_limits.allow_delivery():
                            if skipped:
                                before = message.sequence_number - 1
                                yield _discontinuity(Gap(before - skipped, before, message.sequence_page))
                            skipped = 0
                            yield _topic_item(message)
                        case Message():
                            skipped += 1
                        case Gap() as gap:
                            skipped = 0
                            yield _discontinuity(gap)
                        case None:
                            timeout = min(self._heartbeat_seconds, call.caller.expires_at - time.time())
                            if not await topic.wait_for_change(timeout):
                                yield pb._SubscriptionItem(heartbeat={})
            finally:
                topic.subscribers -= 1


def _require_unexpired(caller: Caller) -> None:
    if caller.expires_at <= time.time():
        raise unauthenticated("The token has expired")


def _value(value: pb._TopicValue) -> str | bytes:
    match value.WhichOneof("kind"):
        case "text":
            return value.text
        case "binary":
            return value.binary
        case _:
            raise invalid_argument("A message needs a text or binary value")


def _topic_item(message: Message) -> pb._SubscriptionItem:
    value = {"text" if isinstance(message.value, str) else "binary": message.value}
    return pb._SubscriptionItem(
        item={
            "topic_sequence_number": message.sequence_number,
            "sequence_page": message.sequence_page,
            "publisher_id": message.publisher_id,
            "value": value,
        }
    )


def _discontinuity(gap: Gap) -> pb._SubscriptionItem:
    return pb._SubscriptionItem(
        discontinuity={
            "last_topic_sequence": gap.last_sequence_number,
            "new_topic_sequence": gap.new_sequence_number,
            "new_sequence_page": gap.sequence_page,
        }
    )
