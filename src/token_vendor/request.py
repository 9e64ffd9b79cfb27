"""A request to the token API: who asks, which the authorizer has verified, and what they want to read."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from common.identity import parse_identity
from common.inputs import InvalidInputError, parse_json_object, raw_body

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

_MAX_READS = 10


class UnverifiedError(Exception):
    """The request has no verified identity that a token can carry."""


def verified_claims(event: Mapping[str, Any]) -> dict[str, object]:
    """Return the claims that the API's JWT authorizer has verified.

    Raise `UnverifiedError` if there are none, as under `sam local start-api`, which has no authorizers.
    """
    try:
        claims = event["requestContext"]["authorizer"]["jwt"]["claims"]
    except (KeyError, TypeError):
        claims = None
    if not isinstance(claims, dict):
        raise UnverifiedError("no verified claims")
    return claims


def verified_identity(claims: Mapping[str, object], claim: str) -> str:
    """Return the user's identity, which is a verified claim and never anything that the caller sent.

    Raise `UnverifiedError` if the claim is missing or does not fit into a token.
    """
    if claim not in claims:
        raise UnverifiedError(f"no {claim} among the verified claims")
    try:
        return parse_identity(claims[claim])
    except InvalidInputError as error:
        raise UnverifiedError(f"{claim}: {error}") from None


def requested_reads(event: Mapping[str, Any], topics: Collection[str]) -> dict[str, list[object]]:
    """Return the ids whose stored state the token shall read, by topic, from the body's `reads`.

    `courseIds` is short for `reads.comment`. An empty body asks for nothing. Raise `InvalidInputError`.
    """
    body = raw_body(event)
    fields = parse_json_object(body) if body.strip() else {}
    reads = fields.get("reads", {})
    if not isinstance(reads, dict):
        raise InvalidInputError('reads must be an object such as {"comment": ["123"]}')
    if "courseIds" in fields:
        course_ids = _ids("courseIds", fields["courseIds"])
        reads = {**reads, "comment": [*course_ids, *_ids("reads.comment", reads.get("comment", []))]}
    requested = {topic: _ids(f"reads.{topic}", ids) for topic, ids in reads.items()}
    if unknown := [topic for topic, ids in requested.items() if ids and topic not in topics]:
        raise InvalidInputError(f"there is no topic {unknown[0]}; the topics are {', '.join(topics)}")
    if sum(map(len, requested.values())) > _MAX_READS:
        raise InvalidInputError(f"a token may read {_MAX_READS} ids at most")
    return requested


def _ids(name: str, ids: object) -> list[object]:
    if not isinstance(ids, list) or len(ids) > _MAX_READS:
        raise InvalidInputError(f"{name} must be a list of at most {_MAX_READS} ids")
    return ids
