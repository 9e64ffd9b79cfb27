"""Run an event source mapping: invoke a function with batches of messages from an SQS queue.

Reference: https://docs.aws.amazon.com/lambda/latest/dg/with-sqs.html
"""

import asyncio
import json
import logging
import time
from collections.abc import Collection
from typing import Any

from local.cloudformation.template import REGION, TemplateError
from local.lambda_host.declaration import QueueMapping
from local.lambda_host.function import Function, ThrottledError
from local.lambda_host.invocation import InvocationResult
from local.lambda_host.queue import Queue, QueueError

# Lambda uses long polling (20 s). Here that would block moto, which handles one request at a time.
_SECONDS_BETWEEN_POLLS = 0.5

logger = logging.getLogger(__name__)


class QueuePoller:
    """Poll the queue of a mapping, invoke its function, and delete the messages that it processed.

    The queue delivers other messages again after its visibility timeout.
    """

    def __init__(self, mapping: QueueMapping, function: Function, queue: Queue) -> None:
        """Poll `queue`, the queue of `mapping`."""
        self._mapping = mapping
        self._function = function
        self._queue = queue
        self._slots = asyncio.Semaphore(mapping.max_concurrency)
        self._visibility_timeout = 0
        self._is_failing = False

    async def prepare(self) -> None:
        """Read the queue's visibility timeout. Raise TemplateError if it is too short or unavailable."""
        name, timeout = self._mapping.function, self._function.configuration.timeout
        try:
            self._visibility_timeout = int(await self._queue.attribute("VisibilityTimeout"))
        except QueueError as error:
            raise TemplateError(
                f"{name} cannot receive messages from {self._mapping.queue}: {error}"
            ) from error
        if self._visibility_timeout < timeout:
            raise TemplateError(
                f"The queue's visibility timeout of {self._visibility_timeout} s is less than "
                f"the timeout of {name}, {timeout:.0f} s."
            )

    async def poll(self) -> None:
        """Poll forever."""
        async with asyncio.TaskGroup() as batches:
            while True:
                await self._slots.acquire()
                if messages := await self._receive():
                    batch = batches.create_task(self._process(messages))
                    batch.add_done_callback(lambda _batch: self._slots.release())
                else:
                    self._slots.release()
                    await asyncio.sleep(_SECONDS_BETWEEN_POLLS)

    async def _receive(self) -> list[dict[str, Any]]:
        try:
            messages = await self._queue.receive(self._mapping.batch_size)
        except QueueError as error:
            if not self._is_failing:  # Log only the first failure in a row.
                logger.warning("%s gets no messages for now: %s", self._mapping.function, error)
            self._is_failing = True
            return []
        self._is_failing = False
        return messages

    async def _process(self, messages: list[dict[str, Any]]) -> None:
        result = await self._invoke(messages)
        if result is None or result.function_error:
            return
        handles = {message["MessageId"]: message["ReceiptHandle"] for message in messages}
        failed = _failed(result.payload, handles.keys()) if self._mapping.reports_failures else set()
        if done := [handle for message, handle in handles.items() if message not in failed]:
            try:
                await self._queue.delete(done)
            except QueueError as error:
                logger.warning("%s will get its messages again: %s", self._mapping.function, error)

    async def _invoke(self, messages: list[dict[str, Any]]) -> InvocationResult | None:
        """Invoke the function. While it is throttled, retry until the visibility timeout has passed."""
        invisible_until = time.monotonic() + self._visibility_timeout
        event = {"Records": [_record(message, self._mapping.queue) for message in messages]}
        payload = json.dumps(event).encode()
        while time.monotonic() < invisible_until:
            try:
                return await self._function.invoke(payload, qualifier=self._function.configuration.alias)
            except ThrottledError:
                await asyncio.sleep(_SECONDS_BETWEEN_POLLS)
        return None


def _record(message: dict[str, Any], queue_arn: str) -> dict[str, Any]:
    return {
        "messageId": message["MessageId"],
        "receiptHandle": message["ReceiptHandle"],
        "body": message["Body"],
        "attributes": message["Attributes"],
        "messageAttributes": {},
        "md5OfBody": message["MD5OfBody"],
        "eventSource": "aws:sqs",
        "eventSourceARN": queue_arn,
        "awsRegion": REGION,
    }


def _failed(payload: bytes, batch: Collection[str]) -> Collection[str]:
    """Return the ids of the messages that failed, according to the function's answer.

    Return the whole batch if the answer is malformed or has unknown ids.
    """
    try:
        answer = json.loads(payload) or {}
        reported = {failure["itemIdentifier"] for failure in answer.get("batchItemFailures") or []}
    except (AttributeError, KeyError, TypeError, ValueError):
        return batch
    return reported if reported <= set(batch) else batch
