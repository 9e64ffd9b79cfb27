"""Events as Lambda passes them to the functions.

Each webhook event has the current time and a new message: the webhook refuses old ones and duplicates.
"""

import json
import secrets
import time
from typing import Any

from local.momento.webhooks import sign

COMMENT = {"courseId": 123, "comment": "This course and video is awesome!"}


def webhook_events(count: int, signing_secret: str, cache: str, topic: str) -> list[dict[str, Any]]:
    """Return signed requests for `count` new messages."""
    now = int(time.time() * 1000)
    first = secrets.randbelow(2**48)
    return [
        _webhook_event(
            {
                "cache": cache,
                "topic": topic,
                "event_timestamp": now,
                "publish_timestamp": now,
                "topic_sequence_number": first + number,
                "token_id": "taylor",
                "text": json.dumps(COMMENT),
            },
            signing_secret,
        )
        for number in range(count)
    ]


def publisher_event() -> dict[str, Any]:
    """Return one comment by one user. The reference's publisher takes no event and publishes it."""
    return {"userId": "taylor", **COMMENT}


def token_event(user: str) -> dict[str, Any]:
    """Return a token request by a user whom the authorizer has verified."""
    return {
        "version": "2.0",
        "routeKey": "POST /token",
        "requestContext": {
            "requestId": "bench",
            "authorizer": {"jwt": {"claims": {"cognito:username": user}}},
        },
        "isBase64Encoded": False,
    }


def _webhook_event(fields: dict[str, Any], signing_secret: str) -> dict[str, Any]:
    body = json.dumps(fields)
    return {
        "version": "2.0",
        "routeKey": "$default",
        "headers": {
            "content-type": "application/json",
            "momento-signature": sign(body.encode(), signing_secret),
        },
        "requestContext": {"requestId": "bench", "http": {"method": "POST", "path": "/"}},
        "isBase64Encoded": False,
        "body": body,
    }
