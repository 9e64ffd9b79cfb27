"""Events: `{"type": "order", "detail": {"sku": 7}}` is sent to an EventBridge bus, for its rules to pick up.

The event's source is `realtime`, its detail type is the message's type, and its detail is
`{"type", "detail", "userID", "id", "publishedAt"}`. If a process dies while it sends the event, it is sent
again with the same id, so consumers that must not act twice remember the ids of each user.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from common.inputs import InvalidInputError, to_json
from momento_access.permissions import Permissions
from topics.topic import Redelivery, Topic

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from topics.topic import Message, Services

_SOURCE = "realtime"
_TYPE_MAX_LENGTH = 128
_DETAIL_MAX_BYTES = 250_000  # EventBridge takes 256 KB with source, type and the rest.


@dataclass(frozen=True, slots=True)
class Event:
    """Something that a user reports."""

    type: str
    detail: dict[str, object]


class Events(Topic[Event]):
    """Send each message to the bus, with its publisher and its id."""

    name = "event"
    redelivery = Redelivery.MAY_DOUBLE

    def __init__(self, environ: Mapping[str, str]) -> None:
        self._bus_name = environ["EVENT_BUS_NAME"]

    def parse(self, fields: Mapping[str, object]) -> Event:
        type_, detail = fields.get("type"), fields.get("detail")
        if not isinstance(type_, str) or not 0 < len(type_) <= _TYPE_MAX_LENGTH or not type_.isprintable():
            raise InvalidInputError(f"type must be a string of 1 to {_TYPE_MAX_LENGTH} printable characters")
        if not isinstance(detail, dict):
            raise InvalidInputError("detail must be an object")
        if len(to_json([type_, detail]).encode()) > _DETAIL_MAX_BYTES:
            raise InvalidInputError(f"detail must have {_DETAIL_MAX_BYTES} bytes at most")
        return Event(type_, detail)

    def permissions(self, claims: Mapping[str, object], ids: Sequence[object]) -> Permissions:
        if ids:
            raise InvalidInputError("events are not stored, so there is nothing to read of event")
        return Permissions(publish={self.name})

    def act(self, message: Message[Event], services: Services) -> None:
        detail = {
            "type": message.content.type,
            "detail": message.content.detail,
            "userID": message.publisher,
            "id": message.id,
            "publishedAt": message.published_at,
        }
        entry = {
            "EventBusName": self._bus_name,
            "Source": _SOURCE,
            "DetailType": message.content.type,
            "Detail": to_json(detail),
        }
        client = services.aws_client("events")
        answer = client.put_events(Entries=[entry])
        if answer["FailedEntryCount"]:
            [refused] = answer["Entries"]
            raise client.exceptions.ClientError({"Error": {"Code": refused["ErrorCode"]}}, "PutEvents")
