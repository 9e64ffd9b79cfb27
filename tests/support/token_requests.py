"""Requests to the token vendor, as API Gateway passes them on."""

from __future__ import annotations

import json
from typing import Any


def token_request(user: Any, body: Any = None, **claims: Any) -> dict[str, Any]:
    """Return the event of a request by a signed-in user, with a text or JSON as its body."""
    return {
        "requestContext": {
            "requestId": "request",
            "authorizer": {"jwt": {"claims": {"sub": user, **claims}, "scopes": None}},
        },
        "body": body if body is None or isinstance(body, str) else json.dumps(body),
    }
