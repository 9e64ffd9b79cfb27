"""Who relays the topic, and how far that has come: one item in DynamoDB.

The clocks of two machines may differ, so their times are not compared. Each renewal changes the item, and who
sees it unchanged for the length of a lease takes it over.
"""

from __future__ import annotations

import math
import time
import uuid
from typing import TYPE_CHECKING, Any

from aws_lambda_powertools import Logger
from aws_session import aws_session
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from relay.progress import Position

if TYPE_CHECKING:
    from relay.settings import Settings

# Well inside the length of a lease, so that another try follows.
_IN_TIME = Config(connect_timeout=1, read_timeout=1, retries={"mode": "standard", "total_max_attempts": 2})

logger = Logger(child=True)


class Lease:
    """The right to relay, which one at a time holds. One thread uses it; any may ask for `seconds_left`."""

    def __init__(self, settings: Settings) -> None:
        self._durations = settings.durations
        self._table = settings.relay_table
        self._id = f"{settings.momento.cache_name}/{settings.momento.topic_name}"
        self._dynamodb = aws_session.client("dynamodb", config=_IN_TIME)
        self._me = uuid.uuid4().hex
        self._written_at = self._held_until = -math.inf
        self._watched_renewal: str | None = None
        self._watched_since = 0.0
        self.position: Position | None = None
        """The last message that was delivered or kept, as saved; None where there is none yet."""
        self.has_busy_holder = False
        """Whether another was seen to renew the lease, and is not about to end."""

    @property
    def seconds_left(self) -> float:
        """How long this one surely holds the lease; 0 or less where it does not."""
        return self._held_until - time.monotonic()

    def acquire(self) -> bool:
        """Takes the lease where it is free or its holder is dead, which only repeated calls find out."""
        condition = "attribute_not_exists(holder) OR holder = :me"
        values: dict[str, Any] = {}
        if self._watched_renewal and time.monotonic() - self._watched_since >= self._durations.lease:
            condition += " OR renewal = :unchanged"
            values[":unchanged"] = {"S": self._watched_renewal}
        try:
            item = self._renew("SET holder = :me, renewal = :renewal", condition, values)
        except self._dynamodb.exceptions.ConditionalCheckFailedException as error:
            self._watch(error.response["Item"])
            return False
        except (BotoCoreError, ClientError) as error:
            logger.warning("the lease cannot be asked for", error=type(error).__name__)
            return False
        self._watched_renewal = None
        self.has_busy_holder = False
        if "sequence_number" in item:
            self.position = Position(int(item["sequence_page"]["N"]), int(item["sequence_number"]["N"]))
        return True

    def keep(self, position: Position | None, *, ends_soon: bool) -> None:
        """Renews the lease and saves the position, when either is due."""
        seconds = time.monotonic() - self._written_at
        is_new = position != self.position and seconds >= self._durations.checkpoint
        if is_new or seconds >= self._durations.renewal:
            self._save(
                position,
                "SET renewal = :renewal, ends_soon = :ends_soon",
                {":ends_soon": {"BOOL": ends_soon}},
            )

    def release(self, position: Position | None) -> None:
        """Saves the position, and lets another have the lease."""
        self._save(position, "REMOVE holder, ends_soon SET renewal = :renewal", {})
        self._held_until = -math.inf

    def _save(self, position: Position | None, update: str, values: dict[str, Any]) -> None:
        if position is not None:
            update += ", sequence_page = :page, sequence_number = :number"
            values |= {":page": {"N": str(position.page)}, ":number": {"N": str(position.number)}}
        try:
            self._renew(update, "holder = :me", values)
            self.position = position
        except self._dynamodb.exceptions.ConditionalCheckFailedException:
            self._held_until = -math.inf
        except (BotoCoreError, ClientError) as error:
            logger.warning("the lease cannot be renewed", error=type(error).__name__)

    def _renew(self, update: str, condition: str, values: dict[str, Any]) -> dict[str, Any]:
        """Updates the item, with another `renewal`, and returns all of it."""
        started = time.monotonic()
        answer = self._dynamodb.update_item(
            TableName=self._table,
            Key={"id": {"S": self._id}},
            UpdateExpression=update,
            ConditionExpression=condition,
            ExpressionAttributeValues={":me": {"S": self._me}, ":renewal": {"S": uuid.uuid4().hex}, **values},
            ReturnValues="ALL_NEW",
            ReturnValuesOnConditionCheckFailure="ALL_OLD",
        )
        # From before the request: who watches it sees it later.
        self._written_at = started
        self._held_until = started + self._durations.lease
        item: dict[str, Any] = answer["Attributes"]
        return item

    def _watch(self, item: dict[str, Any]) -> None:
        """Notes when the holder last gave a sign of life."""
        renewal = item["renewal"]["S"]
        if renewal == self._watched_renewal:
            return
        ends_soon = item.get("ends_soon", {}).get("BOOL", False)
        self.has_busy_holder = self._watched_renewal is not None and not ends_soon
        self._watched_renewal = renewal
        self._watched_since = time.monotonic()
