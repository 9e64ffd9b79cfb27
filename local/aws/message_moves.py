"""SQS's StartMessageMoveTask, which redrives a dead-letter queue, in front of moto's server: moto has none.

As documented:
https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_StartMessageMoveTask.html
"""

import json
import uuid
from collections.abc import Iterable
from typing import Any
from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

from moto.sqs.models import Queue, sqs_backends

from local.cloudformation.template import ACCOUNT_ID, REGION

_SECONDS_TO_MOVE = 30


class MessageMoves:
    """A WSGI application in front of another: moves messages from a dead-letter queue where it is asked to.

    At once: there is no task to list or to cancel afterwards.
    """

    def __init__(self, application: WSGIApplication) -> None:
        """Pass on to `application` all else."""
        self._application = application

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        """Answer a request."""
        if environ.get("HTTP_X_AMZ_TARGET") != "AmazonSQS.StartMessageMoveTask":
            return self._application(environ, start_response)
        status = "200 OK"
        try:
            answer = _move(json.loads(environ["wsgi.input"].read(int(environ["CONTENT_LENGTH"]))))
        except _RefusedError as error:
            status = "400 Bad Request"
            answer = {"__type": f"com.amazonaws.sqs#{error.kind}", "message": str(error)}
        start_response(status, [("Content-Type", "application/x-amz-json-1.0")])
        return [json.dumps(answer).encode()]


class _RefusedError(Exception):
    def __init__(self, kind: str, message: str) -> None:
        super().__init__(message)
        self.kind = kind


def _move(request: dict[str, Any]) -> dict[str, str]:
    """Move what can be received in the source; it arrives as new, which resets the count of its receives."""
    sqs = sqs_backends[ACCOUNT_ID][REGION]
    source = _queue(request["SourceArn"])
    if not (origins := sqs.list_dead_letter_source_queues(source.name)):
        raise _RefusedError("InvalidParameterValue", "The source queue is not a dead-letter queue.")
    destination = _queue(request.get("DestinationArn", origins[0].queue_arn))
    if destination is source:  # It would never be empty.
        raise _RefusedError("InvalidParameterValue", "The source and the destination are the same queue.")
    while messages := sqs.receive_message(source.name, 10, 0, _SECONDS_TO_MOVE, ["All"]):
        for message in messages:
            sqs.send_message(destination.name, message.body, message_attributes=message.message_attributes)
            source.delete_message(str(message.receipt_handle))
    return {"TaskHandle": str(uuid.uuid4())}


def _queue(arn: str) -> Queue:
    for queue in sqs_backends[ACCOUNT_ID][REGION].queues.values():
        if queue.queue_arn == arn:
            return queue
    raise _RefusedError("ResourceNotFoundException", f"There is no queue {arn}.")
