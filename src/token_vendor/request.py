"""What a request to the token API says: who asks, which the authorizer verified, and for which courses."""

from __future__ import annotations

from typing import Any

from comment import comments_list, parse_course_id
from identity import parse_token_id
from inputs import InvalidInputError, parse_json_object, raw_body

MAX_COURSES = 10


class UnverifiedError(Exception):
    """The request has no verified identity that a token could carry."""


def verified_token_id(event: dict[str, Any], claim: str) -> str:
    """The user's identity: a claim that the API's JWT authorizer verified, never anything from the body.

    Raises `UnverifiedError` where there are no verified claims (as under `sam local start-api`, which has no
    authorizers), or the claim is missing or does not fit into a token.
    """
    try:
        return parse_token_id(event["requestContext"]["authorizer"]["jwt"]["claims"][claim])
    except (KeyError, TypeError):
        raise UnverifiedError(f"no verified claims, or no {claim} among them") from None
    except InvalidInputError as error:
        raise UnverifiedError(f"{claim}: {error}") from None


def requested_comment_lists(event: dict[str, Any]) -> frozenset[str]:
    """Names of the comment lists that the token shall be able to read, from the body's `courseIds`.

    An empty body asks for none. Raises `InvalidInputError` for anything but a list of at most 10 course ids.
    """
    body = raw_body(event)
    if not body.strip():
        return frozenset()
    course_ids = parse_json_object(body).get("courseIds", [])
    if not isinstance(course_ids, list) or len(course_ids) > MAX_COURSES:
        raise InvalidInputError(f"courseIds must be a list of at most {MAX_COURSES} course ids")
    return frozenset(comments_list(parse_course_id(course_id)) for course_id in course_ids)
