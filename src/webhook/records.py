"""Records of which messages were written, in DynamoDB; they also tell of attempts that did not end well."""

from __future__ import annotations

import secrets
import time
from typing import Any, cast

from aws_lambda_powertools.utilities.idempotency import DynamoDBPersistenceLayer
from aws_lambda_powertools.utilities.idempotency.exceptions import IdempotencyItemAlreadyExistsError
from aws_lambda_powertools.utilities.idempotency.persistence.datarecord import DataRecord
from botocore.config import Config
from botocore.exceptions import ClientError

from aws_session import aws_session

# The caller waits 5 s in all, and has to be told. In legacy mode, botocore's pause is 50 ms at most.
_IN_TIME = Config(connect_timeout=0.3, read_timeout=0.5, retries={"mode": "legacy", "total_max_attempts": 2})


class MessageRecords(DynamoDBPersistenceLayer):
    """Powertools' records, but for what it does with those of attempts that failed or died.

    It deletes the one and writes over the other, and either attempt may have made its write. Here a failed
    attempt's record stays, free to be taken by the next, and whoever takes a record learns that there was
    an attempt before.
    """

    def __init__(self, table: str) -> None:
        """`table` has the hash key `id`."""
        super().__init__(table, boto_config=_IN_TIME, boto3_session=aws_session)
        self._attempt: dict[str, str] = {}
        self.was_attempted = False
        """Whether there may have been an attempt before the one whose record was put last."""

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
            # Where the answer to a put is lost, botocore puts again and is refused for what it has just put.
            if found.get("attempt") != attempt:
                raise IdempotencyItemAlreadyExistsError(old_data_record=_data_record(found)) from error
            self.was_attempted = True
        else:
            self.was_attempted = "Attributes" in put

    def _delete_record(self, data_record: DataRecord) -> None:
        self.client.update_item(
            TableName=self.table_name,
            Key={"id": {"S": data_record.idempotency_key}},
            UpdateExpression="SET in_progress_expiration = :long_ago",
            # A late retry is not to free what another attempt has taken meanwhile.
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
