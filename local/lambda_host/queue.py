"""An asynchronous client of an SQS queue, for event source mappings."""

import json
from collections.abc import Sequence
from typing import Any

import aiohttp

from local.aws.credentials import Credentials
from local.cloudformation.template import REGION

_TIMEOUT = aiohttp.ClientTimeout(total=20)


class QueueError(Exception):
    """SQS did not answer or refused the request. The message says why."""


class Queue:
    """A client of SQS's JSON protocol, because boto3 would block the event loop."""

    def __init__(
        self, session: aiohttp.ClientSession, endpoint_url: str, arn: str, credentials: Credentials
    ) -> None:
        """Use the queue with this ARN at `endpoint_url`."""
        account, name = arn.split(":")[-2:]
        self._session = session
        self._endpoint_url = endpoint_url
        self._queue_url = f"{endpoint_url}/{account}/{name}"
        self._credentials = credentials

    async def attribute(self, name: str) -> str:
        """Return an attribute of the queue. Raise QueueError."""
        answer = await self._call("GetQueueAttributes", AttributeNames=[name])
        return str(answer["Attributes"][name])

    async def receive(self, count: int) -> list[dict[str, Any]]:
        """Return at most `count` available messages, as in ReceiveMessage's answer. Raise QueueError."""
        answer = await self._call(
            "ReceiveMessage", MaxNumberOfMessages=count, WaitTimeSeconds=0, AttributeNames=["All"]
        )
        messages: list[dict[str, Any]] = answer.get("Messages") or []
        return messages

    async def delete(self, receipt_handles: Sequence[str]) -> None:
        """Delete messages, and ignore those that are gone or were received again. Raise QueueError."""
        entries = [{"Id": str(i), "ReceiptHandle": handle} for i, handle in enumerate(receipt_handles)]
        await self._call("DeleteMessageBatch", Entries=entries)

    async def _call(self, operation: str, **parameters: Any) -> dict[str, Any]:
        body = json.dumps({"QueueUrl": self._queue_url, **parameters}).encode()
        headers = self._signed(f"AmazonSQS.{operation}", body)
        try:
            async with self._session.post(
                self._endpoint_url, data=body, headers=headers, timeout=_TIMEOUT
            ) as response:
                text = await response.text()
        except (aiohttp.ClientError, TimeoutError) as error:
            raise QueueError(f"{operation}: {error!r}") from error
        if response.status != 200:
            raise QueueError(f"{operation}: {response.status} {text}")
        answer: dict[str, Any] = json.loads(text or "{}")
        return answer

    def _signed(self, target: str, body: bytes) -> dict[str, str]:
        """Return the headers of a signed request."""
        # Imported late because it is slow; in the stack, other modules have imported it by then.
        from botocore.auth import SigV4Auth  # noqa: PLC0415
        from botocore.awsrequest import AWSRequest  # noqa: PLC0415
        from botocore.credentials import ReadOnlyCredentials  # noqa: PLC0415

        headers = {"Content-Type": "application/x-amz-json-1.0", "X-Amz-Target": target}
        request = AWSRequest("POST", self._endpoint_url, headers, body)
        key = self._credentials
        credentials = ReadOnlyCredentials(key.access_key_id, key.secret_access_key, key.session_token)
        SigV4Auth(credentials, "sqs", REGION).add_auth(request)
        return dict(request.headers.items())
