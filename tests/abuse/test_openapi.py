"""docs/openapi.yaml is valid, and what it says of the webhook is so (test_token_api.py has the rest)."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from typing import Any

import pytest
import yaml
from jsonschema import Draft202012Validator
from openapi_spec_validator import validate

from local.sign_event import sign_event
from tests.support.functions import Function
from tests.support.project import ROOT
from tests.support.sample_events import sample_event, sample_paths
from tests.support.webhook_requests import SIGNING_SECRET

DOCUMENT = yaml.safe_load((ROOT / "docs" / "openapi.yaml").read_text())
WEBHOOK = DOCUMENT["webhooks"]["message"]["post"]


def is_valid(value: Any, content: dict[str, Any]) -> bool:
    schema = content["application/json"]["schema"]
    return bool(Draft202012Validator({**schema, "components": DOCUMENT["components"]}).is_valid(value))


def test_the_document_is_valid() -> None:
    validate(DOCUMENT)


@pytest.mark.parametrize("path", sample_paths("webhook"))
def test_the_webhook_answers_as_documented(
    path: str, load: Callable[..., Function], all_topics: dict[str, str]
) -> None:
    promised = path.removeprefix("webhook/")[:3]
    event = sample_event(path)
    if promised != "403":
        event = sign_event(event, SIGNING_SECRET, time.time())
    answer = load("webhook", **all_topics)(event)
    assert str(answer["statusCode"]) == promised
    assert is_valid(json.loads(answer["body"]), WEBHOOK["responses"][promised]["content"])


@pytest.mark.parametrize(
    ("path", "documented"),
    [
        ("webhook/200_stored.json", True),
        ("webhook/200_sequence_page.json", True),
        ("webhook/422_no_identity.json", True),
        ("webhook/400_missing_field.json", False),
        ("webhook/400_not_an_object.json", False),
    ],
)
def test_a_message_is_documented_as_it_is_sent(path: str, documented: bool) -> None:
    body = json.loads(sample_event(path)["body"])
    assert is_valid(body, WEBHOOK["requestBody"]["content"]) is documented
