"""Messages of one topic, delivered to the webhook as Momento and the spill queue deliver them."""

from __future__ import annotations

import contextlib
import itertools
import json
import threading
import time
from collections.abc import Iterator
from typing import Any
from wsgiref.types import WSGIApplication

import boto3
from werkzeug.serving import make_server

from local.momento.webhooks import sign
from tests.function_harness import CACHE, SIGNING_SECRET, Function

_numbers = itertools.count(1)


@contextlib.contextmanager
def serve(application: WSGIApplication) -> Iterator[str]:
    """Serve an AWS service, and yield its URL."""
    server = make_server("127.0.0.1", 0, application, threaded=True)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


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
        """A signed request with JSON or a text, which may be delivered several times.

        `order` is the page and the number that the relay gives; without it, it is as Momento's own webhook.
        """
        now = time.time_ns() // 1_000_000
        fields = {
            "cache": CACHE,
            "topic": self._topic,
            "event_timestamp": published_at or now,
            "publish_timestamp": now,
            "topic_sequence_number": next(_numbers),
            "token_id": publisher,
            "text": content if isinstance(content, str) else json.dumps(content),
        }
        if order:
            fields["topic_sequence_page"], fields["topic_sequence_number"] = order
        body = json.dumps(fields)
        return {
            "headers": {"momento-signature": sign(body.encode(), SIGNING_SECRET)},
            "requestContext": {"requestId": "request"},
            "body": body,
        }

    def deliver(self, request: Any) -> tuple[int, str]:
        """The webhook's status, and what it says."""
        answer = self._webhook(request)
        content = json.loads(answer["body"])
        return answer["statusCode"], content.get("status") or content["message"]

    def send(self, content: Any, publisher: str = "taylor", **more: Any) -> tuple[int, str]:
        """Deliver a new message once."""
        return self.deliver(self.request(content, publisher, **more))

    def spilled(self, marker: str) -> dict[str, Any]:
        """The one message with `marker` in it that waits in the spill queue, as Lambda hands it over."""
        sqs = boto3.client("sqs")
        deadline = time.monotonic() + 10
        while time.monotonic() < deadline:
            received = sqs.receive_message(
                QueueUrl=self._spill_queue_url,
                WaitTimeSeconds=1,
                VisibilityTimeout=30,
                MaxNumberOfMessages=10,
                MessageSystemAttributeNames=["All"],
            )
            for message in received.get("Messages", []):
                if marker in message["Body"]:
                    record = {
                        "messageId": message["MessageId"],
                        "receiptHandle": message["ReceiptHandle"],
                        "body": message["Body"],
                        "attributes": message["Attributes"],
                        "eventSource": "aws:sqs",
                    }
                    return {"Records": [record]}
        raise AssertionError(f"no message with {marker} is in the spill queue")

    def retry(self, batch: dict[str, Any]) -> bool:
        """Hand a message from the spill queue to the webhook again. Return whether it is done now."""
        return self._webhook(batch) == {"batchItemFailures": []}
