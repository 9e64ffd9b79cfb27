"""Acting on a message once, however often and however close together it is delivered."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from aws_lambda_powertools import Logger, Metrics
from aws_lambda_powertools.metrics import MetricUnit

from aws_access.message_records import AlreadyDoneError, InProgressError, MessageRecords, RecordsError
from momento_access.credentials import ApiKeyError
from momento_access.errors import MomentoError, Status
from topics.topic import Message, Redelivery
from webhook.services import WebhookServices

if TYPE_CHECKING:
    from aws_lambda_powertools.utilities.typing import LambdaContext

    from webhook.request import ReceivedMessage
    from webhook.settings import Settings

STORED = {"status": "stored"}
DUPLICATE = {"status": "duplicate"}

# The caller waits 5 s. An attempt, and keeping the message after it has failed, may take this much of it.
_MILLIS_FOR_AN_ATTEMPT = 3000
_MILLIS_FOR_TWO = 4000
_PAUSE_SECONDS = 0.05

logger = Logger(child=True)
metrics = Metrics()


class NotDoneError(Exception):
    """Nobody knows whether the message is done, so it must be tried again. The message says why."""


class MessageActions:
    """Calls the topic of each message once. DynamoDB records which messages are done."""

    def __init__(self, settings: Settings) -> None:
        self._records = MessageRecords(settings.idempotency_table, settings.idempotency_ttl)
        self._services = WebhookServices(settings.momento)

    def act_once(
        self, message: ReceivedMessage, context: LambdaContext, *, is_retry: bool = False
    ) -> dict[str, str]:
        """Act on the message unless that was done before. Return `STORED` or `DUPLICATE`.

        While another process acts on a copy of the message, wait to see whether it succeeds. `is_retry` says
        that an earlier attempt may have succeeded without leaving a record. Raise `NotDoneError`, or
        `InvalidInputError` if the topic refuses the message.
        """
        while _has_time(context, _MILLIS_FOR_AN_ATTEMPT):
            try:
                was_attempted = self._records.begin(message.key, context.get_remaining_time_in_millis())
            except AlreadyDoneError:
                return DUPLICATE
            except InProgressError:
                time.sleep(_PAUSE_SECONDS)
            except RecordsError as error:
                raise NotDoneError(str(error)) from error
            else:
                return self._act_with_record(message, context, may_be_done=is_retry or was_attempted)
        raise NotDoneError("no time was left to try")

    def _act_with_record(
        self, message: ReceivedMessage, context: LambdaContext, *, may_be_done: bool
    ) -> dict[str, str]:
        try:
            self._try_to_act(message, context, may_be_done=may_be_done)
        except Exception as error:
            self._release_record(message.key)
            if isinstance(error, MomentoError | ApiKeyError):
                raise NotDoneError(str(error)) from error
            raise
        try:
            self._records.complete(message.key)
        except RecordsError as error:
            # It is done. To say that it failed would only have it done again.
            logger.warning("done without a record", reason=str(error))
        return STORED

    def _try_to_act(self, message: ReceivedMessage, context: LambdaContext, *, may_be_done: bool) -> None:
        try:
            self._act(message, may_be_done=may_be_done)
        except MomentoError as error:
            if not _has_time(context, _MILLIS_FOR_TWO) or not self._may_succeed_now(error):
                raise
            self._act(message, may_be_done=True)

    def _act(self, message: ReceivedMessage, *, may_be_done: bool) -> None:
        if may_be_done and message.topic.redelivery is Redelivery.MAY_DOUBLE:
            logger.warning("acting again")
            metrics.add_metric("MessagesActedOnAgain", MetricUnit.Count, 1)
        acted = message.topic.act(
            Message(
                message.content,
                message.publisher,
                message.id,
                message.published_at,
                message.order,
                may_be_done,
            ),
            self._services,
        )
        if acted is False:
            logger.info("found done")
            metrics.add_metric("MessagesFoundWritten", MetricUnit.Count, 1)

    def _may_succeed_now(self, error: MomentoError) -> bool:
        """Return whether another attempt, right now, may succeed after this error."""
        if error.status is Status.UNAUTHENTICATED:
            return self._services.has_changed_api_key()
        # A connection that broke while Lambda kept the function frozen shows only when it is used.
        return error.status is Status.UNAVAILABLE

    def _release_record(self, key: tuple[str, ...]) -> None:
        try:
            self._records.release(key)
        except RecordsError as error:
            # The next attempt waits until the record expires, which this function's time limit bounds.
            logger.warning("record not released", reason=str(error))


def _has_time(context: LambdaContext, millis: int) -> bool:
    return context.get_remaining_time_in_millis() >= millis
