"""What the template's parameters promise of the webhook holds for the values that they have or allow."""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable
from typing import Any
from uuid import uuid4

import pytest
from momento.responses import CacheListFetch
from samcli.yamlhelper import yaml_parse

from tests.support.aws_proxy import AwsProxy
from tests.support.functions import Function
from tests.support.momento import CACHE, Momento
from tests.support.project import SOURCE
from tests.support.spill_queue import spilled_record
from tests.support.webhook_requests import comment, failures, signed, status

PARAMETERS: dict[str, dict[str, Any]] = yaml_parse((SOURCE.parent / "template.yaml").read_text())[
    "Parameters"
]
HOURS = 3600
LARGEST = 2**64 - 1
SEQUENCE_NUMBERS = itertools.count(LARGEST - 1, -1)


@pytest.fixture
def course() -> str:
    """Return a course of its own, with a short id."""
    return uuid4().hex[:8]


def test_a_message_waits_for_three_hours_before_it_becomes_a_dead_letter(
    load: Callable[..., Function], aws_endpoint: str, course: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    tries, first_pause = (PARAMETERS[name]["Default"] for name in ("SpillTries", "SpillRetrySeconds"))
    with AwsProxy(aws_endpoint) as aws:
        monkeypatch.setenv("AWS_ENDPOINT_URL_SQS", aws.url)
        webhook = load("webhook", MOMENTO_LOCAL="127.0.0.1:9", SPILL_RETRY_SECONDS=str(first_pause))
        assert status(webhook(signed(comment(course)))) == (202, "queued")
        body = json.dumps(comment(course))
        for number in range(1, tries):
            assert failures(webhook({"Records": [spilled_record(body, number)]})) == ["1"]
    [kept, *postponed] = [parameters for _, parameters in aws.calls]
    pauses = [kept["DelaySeconds"], *(parameters["VisibilityTimeout"] for parameters in postponed)]
    assert len(pauses) == tries, "the last try is not followed by a pause"
    assert sum(pauses) >= 3 * HOURS


@pytest.mark.parametrize("character", ["x", "\U0001f389", '"', "\ud83d"], ids=ascii)
def test_the_longest_list_has_room_for_the_longest_entries(
    character: str, load: Callable[..., Function], momento: Momento, course: str
) -> None:
    """Momento takes messages of 4 KB, identities of 64 characters, and lists of a megabyte."""
    length = PARAMETERS["CommentListLength"]["MaxValue"]
    webhook = load("webhook", COMMENT_LIST_LENGTH=str(length))
    form = '{"courseId":"%s","comment":"%s"}'
    # As the shortest JSON has it, so that it tells the most.
    escaped = json.dumps(character, ensure_ascii=character == "\ud83d")[1:-1]
    room = 4096 - len(form % (course, ""))
    text = form % (course, escaped * (room // len(escaped.encode())))
    longest = {
        "text": text,
        "token_id": "\U0001f389" * 64,
        "event_timestamp": LARGEST,
        "topic_sequence_page": LARGEST,
    }

    def store() -> None:
        message = comment(course, **longest, topic_sequence_number=next(SEQUENCE_NUMBERS))
        assert status(webhook(signed(message))) == (200, "stored")

    store()
    with momento.cache_client() as client:
        stored = client.list_fetch(CACHE, course)
        assert isinstance(stored, CacheListFetch.Hit)
        [entry] = stored.value_list_bytes
        for _ in range(length - 1):
            client.list_push_front(CACHE, course, entry)
    store()
    assert len(momento.entries(course)) == length
