"""Signed requests to the webhook, as the relay makes them, and what its answers say."""

from __future__ import annotations

import base64
import hashlib
import hmac
import itertools
import json
import time
from collections.abc import Mapping
from typing import Any

from tests.support.momento import CACHE, TOPIC

SIGNING_SECRET = "the-signing-secret"

_sequence_numbers = itertools.count(1_000_000)


def message(
    topic: str, content: str | Mapping[str, Any], publisher: str = "taylor", **fields: Any
) -> dict[str, Any]:
    """Return the body of a request for a message that was just published, with other `fields` if given."""
    now = time.time_ns() // 1_000_000
    return {
        "cache": CACHE,
        "topic": topic,
        "event_timestamp": now,
        "publish_timestamp": now,
        "topic_sequence_number": next(_sequence_numbers),
        "token_id": publisher,
        "text": content if isinstance(content, str) else json.dumps(content),
    } | fields


def comment(course: str, **fields: Any) -> dict[str, Any]:
    """Return the body of a request for a comment on a course, with other `fields` if given."""
    return message(TOPIC, {"courseId": course, "comment": "well said"}) | fields


def signature(raw: bytes, secret: str = SIGNING_SECRET) -> str:
    return hmac.new(secret.encode(), raw, hashlib.sha3_256).hexdigest()


def signed(
    body: Mapping[str, Any] | bytes, sign_with: str = SIGNING_SECRET, **headers: str
) -> dict[str, Any]:
    """Return the event that the function URL makes of a signed request."""
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    return {
        "headers": {"momento-signature": signature(raw, sign_with), **headers},
        "requestContext": {"requestId": "request"},
        "body": base64.b64encode(raw).decode(),
        "isBase64Encoded": True,
    }


def delivery(
    topic: str, content: str | Mapping[str, Any], publisher: str = "taylor", **fields: Any
) -> dict[str, Any]:
    """Return the event that delivers a message that was just published."""
    return signed(message(topic, content, publisher, **fields))


def status(answer: Mapping[str, Any]) -> tuple[int, str | None]:
    """Return an answer's status code, and the status that its body names."""
    return answer["statusCode"], json.loads(answer["body"]).get("status")


def failures(answer: Mapping[str, Any]) -> list[str]:
    """Return the ids of the messages that stay in the spill queue."""
    return [failure["itemIdentifier"] for failure in answer["batchItemFailures"]]
