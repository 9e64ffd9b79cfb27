"""DynamoDB items that are changed under a condition, such as a lease."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from aws_access.session import aws_session

if TYPE_CHECKING:
    from collections.abc import Mapping

_CONFIG = Config(connect_timeout=1, read_timeout=1, retries={"mode": "standard", "total_max_attempts": 2})


class TableError(Exception):
    """DynamoDB did not do what was asked, or did not answer in time."""


class ConditionFailedError(Exception):
    """The condition of an update does not hold. `item` holds the attributes that the item has."""

    def __init__(self, item: dict[str, Any]) -> None:
        super().__init__("the condition does not hold")
        self.item = item


class LeaseTable:
    """A table with the hash key `id`."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._dynamodb = aws_session.client("dynamodb", config=_CONFIG)

    def update(
        self, item_id: str, update: str, values: Mapping[str, Any], condition: str | None = None
    ) -> dict[str, Any]:
        """Update an item if the condition holds, and return all its attributes, in DynamoDB's notation.

        `update` and `condition` are DynamoDB's expressions, and `values` are theirs. Raise
        `ConditionFailedError` or `TableError`.
        """
        conditions: dict[str, Any] = {"ConditionExpression": condition} if condition else {}
        try:
            answer = self._dynamodb.update_item(
                TableName=self._name,
                Key={"id": {"S": item_id}},
                UpdateExpression=update,
                ExpressionAttributeValues=values,
                ReturnValues="ALL_NEW",
                ReturnValuesOnConditionCheckFailure="ALL_OLD",
                **conditions,
            )
        except self._dynamodb.exceptions.ConditionalCheckFailedException as error:
            raise ConditionFailedError(error.response.get("Item", {})) from error
        except (BotoCoreError, ClientError) as error:
            raise TableError(str(error)) from error
        item: dict[str, Any] = answer["Attributes"]
        return item
