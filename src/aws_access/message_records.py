"""Records of the messages that were acted on, in DynamoDB.

This is Powertools' persistence layer for idempotency, called directly instead of by its decorator, for two
reasons. The decorator deletes the record of an attempt that failed, and overwrites the record of one that
died, although either may have acted. And it cannot tell the action that there was such an attempt. Here a
failed attempt's record stays, free to be taken by the next attempt, and `begin` tells whether there was one.
"""

from __future__ import annotations

import secrets
import time
from typing import TYPE_CHECKING, Any, cast

from aws_lambda_powertools.utilities.idempotency import DynamoDBPersistenceLayer, IdempotencyConfig
from aws_lambda_powertools.utilities.idempotency.exceptions import IdempotencyItemAlreadyExistsError
from aws_lambda_powertools.utilities.idempotency.persistence.datarecord import DataRecord
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from aws_access.session import aws_session

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import timedelta

# The caller waits 5 s in all. In legacy mode, botocore's pause before the second attempt is 50 ms at most.
_CONFIG = Config(connect_timeout=0.3, read_timeout=0.5, retries={"mode": "legacy", "total_max_attempts": 2})


class RecordsError(Exception):
    """DynamoDB did not do what was asked, or did not answer in time."""


class AlreadyDoneError(Exception):
    """The message was acted on before."""


class InProgressError(Exception):
    """Another process is acting on a copy of the message right now."""


class MessageRecords:
    """One record for each message, by a key that all its deliveries share."""

    def __init__(self, table: str, kept_for: timedelta) -> None:
        """`table` has the hash key `id`, and `expiration` as the attribute of its time to live."""
        self._layer = _PersistenceLayer(table)
        config = IdempotencyConfig(
            expires_after_seconds=int(kept_for.total_seconds()), hash_function="sha256"
        )
        self._layer.configure(config, key_prefix="message")

    def begin(self, key: Sequence[str], remaining_millis: int) -> bool:
        """Take the message's record, and return whether an earlier attempt may have acted on the message.

        The record is free again after `remaining_millis`. Raise `AlreadyDoneError`, `InProgressError` or
        `RecordsError`.
        """
        try:
            self._layer.save_inprogress(_data(key), remaining_millis)
        except IdempotencyItemAlreadyExistsError as error:
            record = cast("DataRecord", error.old_data_record)
            raise (AlreadyDoneError if record.status == "COMPLETED" else InProgressError) from None
        except (BotoCoreError, ClientError) as error:
            raise RecordsError(f"its record was not taken: {error}") from error
        return self._layer.found_attempt

    def complete(self, key: Sequence[str]) -> None:
        """Note that the message was acted on. Raise `RecordsError`."""
        try:
            self._layer.save_success(_data(key), {})
        except (BotoCoreError, ClientError) as error:
            raise RecordsError(f"its record was not completed: {error}") from error

    def release(self, key: Sequence[str]) -> None:
        """Let the next attempt have the record, after one that failed. Raise `RecordsError`."""
        try:
            self._layer.delete_record(_data(key), Exception("the attempt failed"))
        except (BotoCoreError, ClientError) as error:
            raise RecordsError(f"its record was not released: {error}") from error


def _data(key: Sequence[str]) -> Any:
    """Return the key as Powertools' untyped payload, of which it makes a hash."""
    return list(key)


class _PersistenceLayer(DynamoDBPersistenceLayer):
    def __init__(self, table: str) -> None:
        super().__init__(table, boto_config=_CONFIG, boto3_session=aws_session)
        self._attempt: dict[str, str] = {}
        self.found_attempt = False
        """What `_put_record`, whose caller returns nothing, has found for `MessageRecords.begin`."""

    def _put_record(self, data_record: DataRecord) -> None:
        self._attempt = attempt = {"S": secrets.token_hex(8)}
        now = time.time()
        try:
            put = self.client.put_item(
                TableName=self.table_name,
                Item={
                    "id": {"S": data_record.idempotency_key},
                    "attempt": attempt,
                    "status": {"S": data_record.status},
                    "expiration": {"N": str(data_record.expiry_timestamp)},
                    "in_progress_expiration": {"N": str(data_record.in_progress_expiry_timestamp)},
                },
                ConditionExpression=(
                    "attribute_not_exists(id) OR expiration < :now"
                    " OR (#status = :in_progress AND in_progress_expiration < :now_ms)"
                ),
                ExpressionAttributeNames={"#status": "status"},
                ExpressionAttributeValues={
                    ":in_progress": {"S": data_record.status},
                    ":now": {"N": str(int(now))},
                    ":now_ms": {"N": str(int(now * 1000))},
                },
                ReturnValues="ALL_OLD",
                ReturnValuesOnConditionCheckFailure="ALL_OLD",
            )
        except ClientError as error:
            if error.response["Error"]["Code"] != "ConditionalCheckFailedException":
                raise
            found = cast("dict[str, Any]", error.response)["Item"]
            # If the answer to a put is lost, botocore puts again, and is refused because of its own record.
            if found.get("attempt") != attempt:
                raise IdempotencyItemAlreadyExistsError(old_data_record=_data_record(found)) from error
            self.found_attempt = True
        else:
            self.found_attempt = "Attributes" in put

    def _delete_record(self, data_record: DataRecord) -> None:
        self.client.update_item(
            TableName=self.table_name,
            Key={"id": {"S": data_record.idempotency_key}},
            UpdateExpression="SET in_progress_expiration = :long_ago",
            # A late retry must not free a record that another attempt has taken meanwhile.
            ConditionExpression="attempt = :attempt",
            ExpressionAttributeValues={":long_ago": {"N": "0"}, ":attempt": self._attempt},
        )


def _data_record(item: dict[str, Any]) -> DataRecord:
    return DataRecord(
        idempotency_key=item["id"]["S"],
        status=item["status"]["S"],
        expiry_timestamp=int(item["expiration"]["N"]),
        in_progress_expiry_timestamp=int(item["in_progress_expiration"]["N"]),
        response_data=item["data"]["S"] if "data" in item else "",
    )
