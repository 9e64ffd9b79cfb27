"""The messages that wait in the spill queue."""

from __future__ import annotations

import time
from typing import Any

import boto3


def spilled_record(body: str, tries: int = 1) -> dict[str, Any]:
    """Return a message of the spill queue as Lambda hands it to the function, received `tries` times."""
    return {
        "messageId": "1",
        "receiptHandle": "none",
        "body": body,
        "attributes": {"ApproximateReceiveCount": str(tries)},
    }


def receive_spilled(queue_url: str, marker: str, count: int = 1) -> dict[str, Any]:
    """Wait for `count` messages with `marker` in them. Return them as Lambda hands them to the function."""
    sqs = boto3.client("sqs")
    records: list[dict[str, Any]] = []
    deadline = time.monotonic() + 10
    while len(records) < count:
        assert time.monotonic() < deadline, f"{len(records)} of {count} messages are in the spill queue"
        received = sqs.receive_message(
            QueueUrl=queue_url,
            MaxNumberOfMessages=10,
            WaitTimeSeconds=1,
            VisibilityTimeout=30,
            MessageSystemAttributeNames=["All"],
        )
        records += [
            {
                "messageId": message["MessageId"],
                "receiptHandle": message["ReceiptHandle"],
                "body": message["Body"],
                "attributes": message["Attributes"],
                "eventSource": "aws:sqs",
            }
            for message in received.get("Messages", [])
            if marker in message["Body"]
        ]
    assert len(records) == count
    return {"Records": records}
