"""Storing a message once, however often and however close together it is delivered."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from aws_lambda_powertools import Logger
from aws_lambda_powertools.utilities.idempotency import (
    DynamoDBPersistenceLayer,
    IdempotencyConfig,
    idempotent_function,
)
from aws_lambda_powertools.utilities.idempotency.exceptions import (
    IdempotencyAlreadyInProgressError,
    IdempotencyPersistenceLayerError,
)
from botocore.config import Config

from webhook.writing import CacheWriter

if TYPE_CHECKING:
    from aws_lambda_powertools.utilities.typing import LambdaContext

    from webhook.message import Message
    from webhook.settings import Settings
    from webhook.writing import Write

STORED = {"status": "stored"}
DUPLICATE = {"status": "duplicate"}

_MILLIS_FOR_AN_ATTEMPT = 2000
_PAUSE_SECONDS = 0.05

logger = Logger(child=True)


@dataclass(slots=True)
class _Attempt:
    write: Write
    succeeded: bool = False


class MessageStore:
    """Makes each message's write once; DynamoDB remembers which were made."""

    def __init__(self, settings: Settings) -> None:
        self._cache = CacheWriter(settings)
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
            persistence_store=DynamoDBPersistenceLayer(
                settings.idempotency_table,
                # The caller waits 5 s in all: better to fail in time to say so.
                boto_config=Config(
                    connect_timeout=1, read_timeout=1, retries={"mode": "standard", "total_max_attempts": 2}
                ),
            ),
            config=self._idempotency,
            key_prefix="message",
        )

    def store(self, message: Message, write: Write, context: LambdaContext) -> dict[str, str]:
        """Makes the message's write unless it was made before: returns `STORED` or `DUPLICATE`.

        While another copy of the message is being written, waits to see whether that succeeds. Raises
        `WriteError`, Powertools' idempotency errors and `GetParameterError` where nobody knows that the
        message is stored; the next copy of it is then written.
        """
        self._idempotency.register_lambda_context(context)
        while True:
            attempt = _Attempt(write)
            try:
                outcome: dict[str, str] = self._write_once(message=message, attempt=attempt)
            except IdempotencyAlreadyInProgressError:
                if context.get_remaining_time_in_millis() < _MILLIS_FOR_AN_ATTEMPT:
                    raise
            except IdempotencyPersistenceLayerError:
                if not attempt.succeeded:
                    raise
                # To say that it failed would have it written again.
                logger.warning("stored without a record of it", message_id=message.id, exc_info=True)
                return STORED
            else:
                return outcome
            time.sleep(_PAUSE_SECONDS)

    def _write(self, message: Message, attempt: _Attempt) -> dict[str, str]:  # noqa: ARG002 - holds the key
        self._cache.make(attempt.write)
        attempt.succeeded = True
        return STORED
