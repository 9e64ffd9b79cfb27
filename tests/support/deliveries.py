"""Messages of one topic, delivered to the webhook as Momento and the spill queue deliver them."""

from __future__ import annotations

import json
from typing import Any

from tests.support.functions import Function
from tests.support.spill_queue import receive_spilled
from tests.support.webhook_requests import delivery


class Deliveries:
    """Delivers messages of a topic to a webhook."""

    def __init__(self, webhook: Function, topic: str, spill_queue_url: str) -> None:
        self._webhook = webhook
        self._topic = topic
        self._spill_queue_url = spill_queue_url

    def request(
        self,
        content: Any,
        publisher: str = "taylor",
        *,
        published_at: int | None = None,
        order: tuple[int, int] | None = None,
    ) -> Any:
        """Return a signed request with JSON or a text, which may be delivered several times.

        `order` is the sequence page and number that the relay gives. Momento's own webhook gives no page.
        """
        fields = {} if published_at is None else {"event_timestamp": published_at}
        if order:
            fields["topic_sequence_page"], fields["topic_sequence_number"] = order
        return delivery(self._topic, content, publisher, **fields)

    def deliver(self, request: Any) -> tuple[int, str]:
        """Return the webhook's status code, and what it says."""
        answer = self._webhook(request)
        content = json.loads(answer["body"])
        return answer["statusCode"], content.get("status") or content["message"]

    def send(self, content: Any, publisher: str = "taylor", **more: Any) -> tuple[int, str]:
        """Deliver a new message once."""
        return self.deliver(self.request(content, publisher, **more))

    def spilled(self, marker: str) -> dict[str, Any]:
        """Return the one message with `marker` in it that waits in the spill queue, as Lambda does."""
        return receive_spilled(self._spill_queue_url, marker)

    def retry(self, batch: dict[str, Any]) -> bool:
        """Hand a message from the spill queue to the webhook again. Return whether it is done now."""
        return self._webhook(batch) == {"batchItemFailures": []}
