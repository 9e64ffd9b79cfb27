"""Polls: `{"pollId": "42", "choice": "yes"}` is a vote. A voter's latest vote counts, and all see the tally.

- `poll:<id>:definition` is the cache key of `{"question": "...", "choices": ["yes", "no"]}`, which also has
  `"closed": true` once the poll is closed. `python -m local.poll` opens and closes polls.
- `poll:<id>:tally` is the key of `{"yes": 3, "no": 1}`. Each change is also published on `poll-results`.
- `poll::standing:<id>` is a sorted set of the voters. A voter's score is the number of their choice.
- `poll::votes:<id>:<voter>` is a set of a voter's votes, each with its place in the order of all messages.
  An id is never empty and has no colon, so no token can read these two keys.

Every step can be repeated, and webhooks that take votes in another order come to the same result.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

from common.inputs import InvalidInputError
from common.names import parse_id
from momento_access.permissions import Permissions
from topics.topic import Redelivery, Topic

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from topics.topic import Message, Services

_RESULTS_TOPIC = "poll-results"
_KEPT_FOR = timedelta(days=1)  # Momento's longest by default.


@dataclass(frozen=True, slots=True)
class Vote:
    """What a user votes for."""

    poll_id: str
    choice: str


class Polls(Topic[Vote]):
    """Count one vote for each voter, and publish the tally."""

    name = "poll"
    redelivery = Redelivery.REPEATABLE

    def parse(self, fields: Mapping[str, object]) -> Vote:
        if not isinstance(choice := fields.get("choice"), str):
            raise InvalidInputError("choice must be a string")
        return Vote(parse_id("pollId", fields.get("pollId")), choice)

    def permissions(self, claims: Mapping[str, object], ids: Sequence[object]) -> Permissions:
        keys = {f"poll:{parse_id('pollId', id_)}:" for id_ in ids}
        return Permissions(publish={self.name}, subscribe={_RESULTS_TOPIC}, read_below=keys)

    def act(self, message: Message[Vote], services: Services) -> None:
        poll_id, cache, cache_name = message.content.poll_id, services.cache, services.cache_name
        choices = _choices_of_open_poll(poll_id, services)
        if message.content.choice not in choices:
            raise InvalidInputError("choice must be one of the poll's")
        _count(message, choices, services)
        shown = None
        # Until nothing has changed meanwhile, so that the tally that is shown last is the right one.
        while (tally := _tally(poll_id, choices, services)) != shown:
            cache.set(cache_name, f"poll:{poll_id}:tally", json.dumps(tally), _KEPT_FOR)
            services.publish(_RESULTS_TOPIC, json.dumps({"pollId": poll_id, "tally": tally}))
            shown = tally


def _choices_of_open_poll(poll_id: str, services: Services) -> list[str]:
    from momento.responses import CacheGet  # Only the webhook loads the SDK.

    found = services.cache.get(services.cache_name, f"poll:{poll_id}:definition")
    definition = json.loads(found.value_string) if isinstance(found, CacheGet.Hit) else {}
    if not definition or definition.get("closed"):
        raise InvalidInputError("the poll is closed" if definition else "there is no such poll")
    return list(definition["choices"])


def _count(message: Message[Vote], choices: list[str], services: Services) -> None:
    """Note the vote, and let the voter's latest one count, which may be another."""
    from momento.requests import CollectionTtl
    from momento.responses import CacheSetFetch

    poll_id, cache, cache_name = message.content.poll_id, services.cache, services.cache_name
    standing, votes = f"poll::standing:{poll_id}", f"poll::votes:{poll_id}:{message.publisher}"
    voter = hashlib.blake2b(message.publisher.encode(), digest_size=16).digest()
    ttl = CollectionTtl(_KEPT_FOR)
    vote = json.dumps([*message.order, choices.index(message.content.choice)])
    cache.set_add_element(cache_name, votes, vote, ttl=ttl)
    counted = None
    while True:
        found = cache.set_fetch(cache_name, votes)
        noted = found.value_set_string if isinstance(found, CacheSetFetch.Hit) else {vote}
        latest = max(noted, key=json.loads)
        if latest == counted:  # Otherwise, another webhook has taken a later vote of this voter meanwhile.
            break
        score = float(json.loads(latest)[-1])
        cache.sorted_set_put_elements(cache_name, standing, {voter: score, **_marks(choices)}, ttl=ttl)
        counted = latest
    if earlier := noted - {latest}:  # They can never count again.
        cache.set_remove_elements(cache_name, votes, earlier)


def _marks(choices: Sequence[str]) -> dict[bytes, float]:
    """Return an entry for each choice, behind the voters who chose it. Its rank tells how many there are."""
    return {b"mark %d" % number: number + 0.5 for number in range(len(choices))}


def _tally(poll_id: str, choices: list[str], services: Services) -> dict[str, int]:
    from momento.responses import CacheSortedSetGetRank

    tally, before = {}, -1
    for choice, mark in zip(choices, _marks(choices), strict=True):
        found = services.cache.sorted_set_get_rank(services.cache_name, f"poll::standing:{poll_id}", mark)
        rank = int(found.rank) if isinstance(found, CacheSortedSetGetRank.Hit) else before + 1
        tally[choice], before = rank - before - 1, rank
    return tally
