"""The spill queue: keeps messages that could not be stored, until they can be."""

from __future__ import annotations

import functools
import json
import random
from typing import TYPE_CHECKING, Any

from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from aws_session import aws_session

if TYPE_CHECKING:
    from collections.abc import Mapping

    from mypy_boto3_sqs import SQSClient

    from webhook.settings import Settings

_LONGEST_PAUSE_SECONDS = 900
"""The longest delay that SQS knows."""

# Copies of this process, as SnapStart makes them, are not to pause for the same time.
_random = random.SystemRandom()
_IN_TIME = Config(connect_timeout=0.3, read_timeout=0.5, retries={"total_max_attempts": 1})


class SpillQueue:
    """Messages wait here, each for longer after every try to store it."""

    def __init__(self, settings: Settings) -> None:
        self._url = settings.spill_queue_url
        self._first_pause_seconds = settings.spill_retry_seconds

    def keep(self, fields: Mapping[str, Any]) -> None:
        """Keeps a message, as it came; raises botocore's errors where SQS does not take it."""
        body = json.dumps(fields)
        delay = min(self._first_pause_seconds, _LONGEST_PAUSE_SECONDS)
        try:
            self._sqs.send_message(QueueUrl=self._url, MessageBody=body, DelaySeconds=delay)
        except (BotoCoreError, ClientError):
            # A connection may have been cut while Lambda kept the function frozen. A message that is in the
            # queue twice is stored once.
            self._sqs.send_message(QueueUrl=self._url, MessageBody=body, DelaySeconds=delay)

    def postpone(self, record: Mapping[str, Any]) -> None:
        """Has a message wait for longer than after the try before; raises as `keep` does."""
        tries = int(record["attributes"]["ApproximateReceiveCount"])
        pause = min(self._first_pause_seconds * 2**tries, _LONGEST_PAUSE_SECONDS)
        self._sqs.change_message_visibility(
            QueueUrl=self._url,
            ReceiptHandle=record["receiptHandle"],
            # Messages that failed together are not to come back together.
            VisibilityTimeout=round(pause * _random.uniform(0.75, 1)),
        )

    @functools.cached_property
    def _sqs(self) -> SQSClient:
        # Most processes never need it.
        return aws_session.client("sqs", config=_IN_TIME)
