"""What docs/operations.md says to do, as far as the local AWS services can do it."""

from __future__ import annotations

import hashlib
import hmac
import json
import time
from collections.abc import Iterator
from typing import Any

import pytest

from .conftest import Stack, published, running_stack


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """One of its own, whose secret is rotated."""
    with running_stack(tmp_path_factory.mktemp("stack")) as stack:
        yield stack


def test_a_redrive_stores_dead_letters(stack: Stack, course: str) -> None:
    """As the relay keeps them, which knows no queue that they came from."""
    sqs = stack.aws("sqs")
    dead_letters = stack.facts["dead_letter_queue_url"]
    for number in range(1, 4):
        sqs.send_message(QueueUrl=dead_letters, MessageBody=json.dumps(fields(stack, course, number)))
    queues = [dead_letters, stack.facts["spill_queue_url"]]
    source, destination = (
        sqs.get_queue_attributes(QueueUrl=queue, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
        for queue in queues
    )
    sqs.start_message_move_task(SourceArn=source, DestinationArn=destination)
    entries = stack.wait_for_entries(course, 3)
    assert {entry["comment"] for entry in entries} == {f"message {number}" for number in range(1, 4)}
    assert {entry["userID"] for entry in entries} == {"taylor"}


def test_the_signing_secret_is_rotated_without_losing_a_message(
    stack: Stack, course: str, auth_token: str
) -> None:
    """The relay still has the first: after one rotation that is the previous one, after two it is neither."""
    stored: list[str] = []
    for rotation in ("first", "second"):
        wait_until_known(stack, rotated_secret(stack))
        published(stack.publish(auth_token, json.dumps({"courseId": course, "comment": rotation})))
        stored = [entry["comment"] for entry in stack.wait_for_entries(course, len(stored) + 1)]
    assert stored == ["second", "first"]


def rotated_secret(stack: Stack) -> str:
    """Rotates the signing secret, and returns the new one."""
    secrets = stack.aws("secretsmanager")
    password: str = secrets.get_random_password(PasswordLength=48, ExcludePunctuation=True)["RandomPassword"]
    secrets.put_secret_value(SecretId="SigningSecret", SecretString=password)
    return password


def wait_until_known(stack: Stack, secret: str) -> None:
    """Waits until the webhook takes what is signed with a secret, for which it looks every few seconds."""
    raw = json.dumps(fields(stack, "elsewhere", 1)).encode()
    signature = hmac.new(secret.encode(), raw, hashlib.sha3_256).hexdigest()
    deadline = time.monotonic() + 20
    while stack.webhook(raw, **{"momento-signature": signature}).status != 200:
        assert time.monotonic() < deadline
        time.sleep(0.1)


def fields(stack: Stack, course: str, number: int) -> dict[str, Any]:
    """What the webhook gets of a message of taylor's."""
    now = time.time_ns() // 1_000_000
    return {
        "cache": stack.facts["cache"],
        "topic": stack.facts["topic"],
        "event_timestamp": now,
        "publish_timestamp": now,
        "topic_sequence_number": number,
        "token_id": "taylor",
        "text": json.dumps({"courseId": course, "comment": f"message {number}"}),
        "topic_sequence_page": now,
    }
