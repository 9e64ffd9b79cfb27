"""SQS's StartMessageMoveTask, which redrives a dead-letter queue. moto lacks it.

Reference:
https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_StartMessageMoveTask.html
"""

import uuid
from typing import Any

from moto.sqs.models import Queue, sqs_backends

from local.aws.operation import Operation, RefusedError
from local.cloudformation.template import ACCOUNT_ID, REGION

_SECONDS_TO_MOVE = 30


class MessageMoves(Operation):
    """Move the messages of a dead-letter queue before answering, so no task remains to list or cancel."""

    target = "AmazonSQS.StartMessageMoveTask"
    content_type = "application/x-amz-json-1.0"

    def answer(self, request: dict[str, Any]) -> dict[str, Any]:
        """Move all visible messages of the source. They arrive as new messages, with a receive count of 0."""
        sqs = sqs_backends[ACCOUNT_ID][REGION]
        source = _queue(request["SourceArn"])
        if not (origins := sqs.list_dead_letter_source_queues(source.name)):
            raise _refusal("InvalidParameterValue", "The source queue is not a dead-letter queue.")
        destination = _queue(request.get("DestinationArn", origins[0].queue_arn))
        if destination is source:  # The loop below would never end.
            raise _refusal("InvalidParameterValue", "The source and the destination are the same queue.")
        while messages := sqs.receive_message(source.name, 10, 0, _SECONDS_TO_MOVE, ["All"]):
            for message in messages:
                sqs.send_message(
                    destination.name, message.body, message_attributes=message.message_attributes
                )
                source.delete_message(str(message.receipt_handle))
        return {"TaskHandle": str(uuid.uuid4())}


def _queue(arn: str) -> Queue:
    for queue in sqs_backends[ACCOUNT_ID][REGION].queues.values():
        if queue.queue_arn == arn:
            return queue
    raise _refusal("ResourceNotFoundException", f"There is no queue {arn}.")


def _refusal(kind: str, message: str) -> RefusedError:
    return RefusedError(f"com.amazonaws.sqs#{kind}", message)
