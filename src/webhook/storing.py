"""Storing a message once, however often and however close together it is delivered."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from aws_lambda_powertools import Logger, Metrics
from aws_lambda_powertools.metrics import MetricUnit
from aws_lambda_powertools.utilities.idempotency import IdempotencyConfig, idempotent_function
from aws_lambda_powertools.utilities.idempotency.exceptions import (
    IdempotencyAlreadyInProgressError,
    IdempotencyPersistenceLayerError,
)
from aws_lambda_powertools.utilities.parameters.exceptions import GetParameterError

from momento_access.channels import MomentoError
from webhook.records import MessageRecords
from webhook.writing import CacheWriter

if TYPE_CHECKING:
    from aws_lambda_powertools.utilities.typing import LambdaContext

    from webhook.message import Message
    from webhook.settings import Settings
    from webhook.writing import Write

STORED = {"status": "stored"}
DUPLICATE = {"status": "duplicate"}

# Of the caller's 5 seconds, what an attempt, and keeping the message when it has failed, may take.
_MILLIS_FOR_AN_ATTEMPT = 3000
_MILLIS_FOR_TWO = 4000
_PAUSE_SECONDS = 0.05

logger = Logger(child=True)
metrics = Metrics()


class NotStoredError(Exception):
    """Nobody knows that the message is stored: it is to be stored later. The message says why."""


@dataclass(slots=True)
class _Attempt:
    write: Write
    look_first: bool
    context: LambdaContext
    succeeded: bool = False


class MessageStore:
    """Makes each message's write once; DynamoDB remembers which were made."""

    def __init__(self, settings: Settings) -> None:
        self._cache = CacheWriter(settings.momento)
        self._records = MessageRecords(settings.idempotency_table)
        self._idempotency = IdempotencyConfig(
            event_key_jmespath="[cache, topic, id]",
            raise_on_no_idempotency_key=True,
            expires_after_seconds=int(settings.idempotency_ttl.total_seconds()),
            hash_function="sha256",
            response_hook=lambda _response, _record: DUPLICATE,
        )
        self._write_once = idempotent_function(
            self._write,
            data_keyword_argument="message",
            persistence_store=self._records,
            config=self._idempotency,
            key_prefix="message",
        )

    def store(
        self, message: Message, write: Write, context: LambdaContext, *, look_first: bool = False
    ) -> dict[str, str]:
        """Makes the message's write unless it was made before: returns `STORED` or `DUPLICATE`.

        With `look_first`, and where an earlier attempt may have made the write without a record of it, looks
        for it in the cache first. While another copy of the message is being written, waits to see whether
        that succeeds. Raises `NotStoredError`.
        """
        self._idempotency.register_lambda_context(context)
        attempt = _Attempt(write, look_first, context)
        while _has_time(context, _MILLIS_FOR_AN_ATTEMPT):
            try:
                outcome: dict[str, str] = self._write_once(message=message, attempt=attempt)
            except IdempotencyAlreadyInProgressError:
                time.sleep(_PAUSE_SECONDS)
            except (MomentoError, GetParameterError) as error:
                raise NotStoredError(str(error)) from error
            except IdempotencyPersistenceLayerError as error:
                if not attempt.succeeded:
                    raise NotStoredError(str(error)) from error
                # To say that it failed would have it written again.
                logger.warning("stored without a record of it", message_id=message.id, exc_info=True)
                return STORED
            else:
                return outcome
        raise NotStoredError("no time was left to try")

    def _write(self, message: Message, attempt: _Attempt) -> dict[str, str]:
        look_first = attempt.look_first or self._records.was_attempted
        try:
            made = self._cache.make(attempt.write, look_first=look_first)
        except MomentoError as error:
            if not _has_time(attempt.context, _MILLIS_FOR_TWO) or not self._cache.may_succeed_now(error):
                raise
            made = self._cache.make(attempt.write, look_first=True)
        if not made:
            logger.info("found written", message_id=message.id)
            metrics.add_metric("MessagesFoundWritten", MetricUnit.Count, 1)
        attempt.succeeded = True
        return STORED


def _has_time(context: LambdaContext, millis: int) -> bool:
    return context.get_remaining_time_in_millis() >= millis
