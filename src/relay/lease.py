"""Who relays the topics, and how far that has come: one item in DynamoDB.

The clocks of two machines may differ, so no decision about the lease compares their times. Each renewal
changes the item, and a run that sees it unchanged for the length of a lease takes it over.
"""

from __future__ import annotations

import math
import time
import uuid
from enum import Enum
from typing import TYPE_CHECKING, Any

from aws_lambda_powertools import Logger

from aws_access.lease_table import ConditionFailedError, LeaseTable, TableError
from relay.backlog import Bookmark
from relay.message import Position
from relay.version import relay_version

if TYPE_CHECKING:
    from collections.abc import Mapping

    from relay.settings import Settings

_ITEM_ID = "relay"

logger = Logger(child=True)


class Standing(Enum):
    """How a run stands with the lease."""

    HOLDS = "holds the lease"
    WAITS = "waits for the lease"
    NOT_NEEDED = "another run of the same version is at work, and will be for a while"


class Lease:
    """The right to relay, which one run at a time holds. One thread uses it; any may ask for `seconds_left`.

    A run of another version that was started later asks the holder to hand over. So the runs need an order:
    each takes a number when it first asks for the lease.
    """

    def __init__(self, settings: Settings) -> None:
        self._durations = settings.durations
        self._cache_name = settings.momento.cache_name
        self._version = relay_version(settings)
        self._table = LeaseTable(settings.relay_table)
        self._me = uuid.uuid4().hex
        self._run_number: int | None = None
        self._written_at = self._held_until = -math.inf
        self._watched_renewal: str | None = None
        self._watched_since = 0.0
        self._asked_holder: str | None = None
        self._bookmarks: dict[str, Bookmark] = {}

    @property
    def seconds_left(self) -> float:
        """Return how long this run surely holds the lease; 0 or less if it does not."""
        return self._held_until - time.monotonic()

    def bookmark(self, topic: str) -> Bookmark | None:
        """Return how far a topic is dealt with, as saved, or None if it was never followed."""
        return self._bookmarks.get(self._key(topic))

    def acquire(self) -> Standing:
        """Take the lease if it is free or its holder is dead, which only repeated calls find out."""
        condition = "attribute_not_exists(holder) OR holder = :me"
        values: dict[str, Any] = {
            ":version": {"S": self._version},
        }
        if self._watched_renewal and time.monotonic() - self._watched_since >= self._durations.lease:
            condition += " OR renewal = :unchanged"
            values[":unchanged"] = {"S": self._watched_renewal}
        try:
            if self._run_number is None:
                item = self._table.update(_ITEM_ID, "ADD runs_started :one", {":one": {"N": "1"}})
                self._run_number = int(item["runs_started"]["N"])
                if "holder" in item:
                    return self._watch(item)
            item = self._renew(
                "SET holder = :me, renewal = :renewal, holder_version = :version, holder_number = :number"
                " REMOVE ends_soon, asked_holder",
                {**values, ":number": {"N": str(self._run_number)}},
                condition,
            )
        except ConditionFailedError as error:
            return self._watch(error.item)
        except TableError as error:
            logger.warning("the lease cannot be asked for", error=str(error))
            return Standing.WAITS
        self._watched_renewal = None
        self._bookmarks = _parse_bookmarks(item)
        return Standing.HOLDS

    def keep(self, bookmarks: Mapping[str, Bookmark | None], *, ends_soon: bool) -> bool:
        """Renew the lease and save the bookmarks of topics, when either is due.

        Return False if a run of a newer version has asked for the lease.
        """
        seconds = time.monotonic() - self._written_at
        is_new = self._positions(self._merged(bookmarks)) != self._positions(self._bookmarks)
        if seconds < self._durations.renewal and not (is_new and seconds >= self._durations.checkpoint):
            return True
        item = self._save(
            bookmarks,
            "SET renewal = :renewal, bookmarks = :bookmarks, ends_soon = :ends_soon",
            {":ends_soon": {"BOOL": ends_soon}},
        )
        return item.get("asked_holder") != {"S": self._me}

    def release(self, bookmarks: Mapping[str, Bookmark | None]) -> None:
        """Save the bookmarks, and let another run have the lease."""
        self._save(
            bookmarks,
            "SET renewal = :renewal, bookmarks = :bookmarks"
            " REMOVE holder, holder_version, holder_number, ends_soon, asked_holder",
            {},
        )
        self._held_until = -math.inf

    def _save(
        self, bookmarks: Mapping[str, Bookmark | None], update: str, values: Mapping[str, Any]
    ) -> dict[str, Any]:
        merged = self._merged(bookmarks)
        formatted = {":bookmarks": _format_bookmarks(merged)}
        try:
            item = self._renew(update, {**values, **formatted}, "holder = :me")
        except ConditionFailedError:
            self._held_until = -math.inf
        except TableError as error:
            logger.warning("the lease cannot be renewed", error=str(error))
        else:
            self._bookmarks = merged
            return item
        return {}

    def _renew(self, update: str, values: Mapping[str, Any], condition: str) -> dict[str, Any]:
        """Update the item, with another `renewal`, and return all of it."""
        started = time.monotonic()
        own = {":me": {"S": self._me}, ":renewal": {"S": uuid.uuid4().hex}}
        item = self._table.update(_ITEM_ID, update, {**own, **values}, condition)
        # From before the request: a run that watches the item sees the change later.
        self._written_at = started
        self._held_until = started + self._durations.lease
        return item

    def _watch(self, item: Mapping[str, Any]) -> Standing:
        """Note when the holder last gave a sign of life, and ask it to hand over if it is outdated."""
        if "holder" in item and self._is_outdated(item):
            self._ask(item["holder"]["S"])
        renewal = item.get("renewal", {}).get("S")
        if renewal == self._watched_renewal:
            return Standing.WAITS
        has_seen_renewal = self._watched_renewal is not None
        self._watched_renewal = renewal
        self._watched_since = time.monotonic()
        ends_soon = item.get("ends_soon", {}).get("BOOL", False)
        is_asked = self._asked_holder is not None and item.get("holder") == {"S": self._asked_holder}
        return Standing.NOT_NEEDED if has_seen_renewal and not ends_soon and not is_asked else Standing.WAITS

    def _is_outdated(self, item: Mapping[str, Any]) -> bool:
        """Return whether the holder has another version and was started before this run."""
        is_older = int(item.get("holder_number", {}).get("N", 0)) < (self._run_number or 0)
        return is_older and item.get("holder_version") != {"S": self._version}

    def _ask(self, holder: str) -> None:
        if holder == self._asked_holder:
            return
        try:
            self._table.update(
                _ITEM_ID, "SET asked_holder = :holder", {":holder": {"S": holder}}, "holder = :holder"
            )
        except ConditionFailedError:
            return  # It holds the lease no longer.
        except TableError as error:
            logger.warning("the holder cannot be asked to hand over", error=str(error))
            return
        logger.info("an older version has the lease and was asked to hand over")
        self._asked_holder = holder

    def _merged(self, bookmarks: Mapping[str, Bookmark | None]) -> dict[str, Bookmark]:
        """Return the saved bookmarks, of all topics that were ever followed, brought up to date."""
        known = {self._key(topic): bookmark for topic, bookmark in bookmarks.items() if bookmark}
        return {**self._bookmarks, **known}

    def _key(self, topic: str) -> str:
        return f"{self._cache_name}/{topic}"

    @staticmethod
    def _positions(bookmarks: Mapping[str, Bookmark]) -> dict[str, Position]:
        return {key: bookmark.position for key, bookmark in bookmarks.items()}


def _format_bookmarks(bookmarks: Mapping[str, Bookmark]) -> dict[str, Any]:
    """Return bookmarks in DynamoDB's notation, with times in whole milliseconds."""
    return {
        "M": {
            key: {
                "M": {
                    "page": {"N": str(bookmark.position.page)},
                    "number": {"N": str(bookmark.position.number)},
                    "quiet_from": {"N": str(int(bookmark.quiet_from * 1000))},
                    "quiet_until": {"N": str(int(bookmark.quiet_until * 1000))},
                }
            }
            for key, bookmark in bookmarks.items()
        }
    }


def _parse_bookmarks(item: Mapping[str, Any]) -> dict[str, Bookmark]:
    saved = item.get("bookmarks", {"M": {}})["M"]
    numbers = {
        key: {name: int(value["N"]) for name, value in bookmark["M"].items()}
        for key, bookmark in saved.items()
    }
    return {
        key: Bookmark(
            Position(one["page"], one["number"]), one["quiet_from"] / 1000, one["quiet_until"] / 1000
        )
        for key, one in numbers.items()
    }
