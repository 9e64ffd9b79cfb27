"""A stack that is not to be worn down, started as `make run` starts it, and good requests to its webhook."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator

import pytest

from common.webhook_signature import sign
from tests.e2e.conftest import Stack, running_stack

UNTHROTTLED = ("--parameter", "TokenRateLimit=10000", "--parameter", "TokenBurstLimit=5000")


@pytest.fixture(scope="session")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """A stack whose token API does not throttle, which would hide how it answers otherwise."""
    with running_stack(tmp_path_factory.mktemp("stack"), *UNTHROTTLED) as stack:
        yield stack


def signed_request(stack: Stack, number: int, course: str, comment: str) -> tuple[bytes, str]:
    """The body and the signature of a request to the webhook that is accepted now."""
    now = int(time.time() * 1000)
    body = json.dumps(
        {
            "cache": stack.facts["cache"],
            "topic": stack.facts["topic"],
            "event_timestamp": now,
            "publish_timestamp": now,
            "topic_sequence_number": number,
            "token_id": "taylor",
            "text": json.dumps({"courseId": course, "comment": comment}),
        }
    ).encode()
    return body, sign(body, stack.facts["signing_secret"])
