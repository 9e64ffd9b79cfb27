"""The sample events, and how an answer is held against what the name of one promises."""

from __future__ import annotations

import json
from typing import Any

import pytest

from local.sam.sample_events import SampleEvent, sample_events
from tests.support.project import EVENTS

SAMPLES = sample_events()


def http(status: int, body: Any) -> dict[str, Any]:
    return {"statusCode": status, "body": json.dumps(body)}


def sample(name: str) -> SampleEvent:
    return next(one for one in SAMPLES if one.name == name)


def test_every_file_is_a_sample_of_a_function() -> None:
    assert {one.path for one in SAMPLES} == set(EVENTS.rglob("*.json"))
    assert {one.function for one in SAMPLES} == {
        "TokenVendorFunction",
        "PublisherFunction",
        "WebhookFunction",
        "RelayFunction",
    }


@pytest.mark.parametrize(
    ("name", "answer"),
    [
        ("webhook/200_stored.json", http(200, {"status": "stored"})),
        ("webhook/200_sequence_page.json", http(200, {"status": "duplicate"})),
        ("webhook/400_not_json.json", http(400, {"message": "no"})),
        ("token_vendor/200_signed_in.json", http(200, {"tokenId": "taylor"})),
        ("publisher/published_1.json", {"published": 1, "failed": []}),
        ("publisher/published_1_failed_2.json", {"published": 1, "failed": [{}, {}]}),
        ("publisher/error_no_user.json", {"errorType": "InvalidInputError"}),
        ("relay/busy.json", {"status": "busy"}),
    ],
)
def test_an_answer_as_promised_is_accepted(name: str, answer: dict[str, Any]) -> None:
    assert sample(name).accepts(answer)


@pytest.mark.parametrize(
    ("name", "answer"),
    [
        ("webhook/200_stored.json", http(403, {"message": "no"})),
        ("webhook/200_stored.json", http(200, {"status": "duplicate"})),
        ("webhook/200_stored.json", {"errorType": "RuntimeError", "errorMessage": "no"}),
        ("webhook/200_stored.json", {"statusCode": 200}),
        ("webhook/200_sequence_page.json", http(200, {})),
        ("webhook/400_not_json.json", http(200, {"status": "stored"})),
        ("webhook/400_not_json.json", http(400, {"status": "stored"})),
        ("token_vendor/200_signed_in.json", http(200, {})),
        ("token_vendor/200_token_id_in_body_is_ignored.json", http(200, {"tokenId": "somebody-else"})),
        ("publisher/published_1.json", {"published": 1, "failed": [{}]}),
        ("publisher/published_1.json", {"published": 0, "failed": []}),
        ("publisher/published_1.json", {"published": 1}),
        ("publisher/published_1.json", None),
        ("publisher/published_1_failed_2.json", {"published": 1, "failed": [{}]}),
        ("publisher/published_1_failed_2.json", {}),
        ("publisher/error_no_user.json", {"published": 0, "failed": []}),
        ("publisher/error_no_user.json", {"errorType": "Runtime.ImportModuleError"}),
        ("relay/busy.json", {"status": "relayed", "delivered": 1}),
        ("relay/busy.json", {"errorType": "KeyError"}),
        ("relay/busy.json", None),
    ],
)
def test_any_other_answer_is_not(name: str, answer: dict[str, Any]) -> None:
    assert not sample(name).accepts(answer)
