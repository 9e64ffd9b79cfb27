"""SQS queues."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING

from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from aws_access.session import aws_session

if TYPE_CHECKING:
    from mypy_boto3_sqs import SQSClient


class QueueError(Exception):
    """SQS did not do what was asked, or did not answer in time."""


class Queue:
    """One queue, with a client that is made when it is first used."""

    def __init__(self, url: str, *, timeout_seconds: float, connections: int = 1) -> None:
        """`timeout_seconds` bounds each of two attempts to send a message.

        `connections` is how many threads send at the same time.
        """
        self._url = url
        self._config = Config(
            max_pool_connections=connections,
            connect_timeout=min(timeout_seconds, 1),
            read_timeout=timeout_seconds,
            retries={"total_max_attempts": 1},
        )

    def prepare(self) -> None:
        """Make the client now, because several threads cannot make one at the same time."""
        _ = self._client

    def send(self, body: str, *, delay_seconds: int = 0) -> None:
        """Put a message into the queue, possibly twice. It stays hidden for the delay. Raise `QueueError`."""
        try:
            self._send(body, delay_seconds)
        except (BotoCoreError, ClientError):
            # The connection may have broken while Lambda kept the function frozen.
            try:
                self._send(body, delay_seconds)
            except (BotoCoreError, ClientError) as error:
                raise QueueError(str(error)) from error

    def hide(self, receipt_handle: str, seconds: int) -> None:
        """Hide a message that was received for a number of seconds from now. Raise `QueueError`."""
        try:
            self._client.change_message_visibility(
                QueueUrl=self._url, ReceiptHandle=receipt_handle, VisibilityTimeout=seconds
            )
        except (BotoCoreError, ClientError) as error:
            raise QueueError(str(error)) from error

    def _send(self, body: str, delay_seconds: int) -> None:
        self._client.send_message(QueueUrl=self._url, MessageBody=body, DelaySeconds=delay_seconds)

    @functools.cached_property
    def _client(self) -> SQSClient:
        return aws_session.client("sqs", config=self._config)
