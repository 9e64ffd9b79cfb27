"""What docs/operations.md says to do, as far as the local AWS services can do it."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from tests.support.running_stack import Stack, published, running_stack
from tests.support.waiting import wait_until
from tests.support.webhook_requests import signature


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """Start a stack for this module only, because its secret is rotated."""
    with running_stack(tmp_path_factory.mktemp("stack")) as stack:
        yield stack


def test_a_redrive_stores_dead_letters(stack: Stack, course: str) -> None:
    """The relay sends them straight to the dead-letter queue, so SQS records no source queue."""
    sqs = stack.aws("sqs")
    dead_letters = stack.facts["dead_letter_queue_url"]
    for number in range(1, 4):
        body = stack.webhook_body(
            course, f"message {number}", topic_sequence_page=7, topic_sequence_number=number
        )
        sqs.send_message(QueueUrl=dead_letters, MessageBody=body.decode())
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
    """Rotate the signing secret, and return the new one."""
    secrets = stack.aws("secretsmanager")
    password: str = secrets.get_random_password(PasswordLength=48, ExcludePunctuation=True)["RandomPassword"]
    secrets.put_secret_value(SecretId="SigningSecret", SecretString=password)
    return password


def wait_until_known(stack: Stack, secret: str) -> None:
    """Wait until the webhook accepts a signature by this secret, which it reads every few seconds."""
    body = stack.webhook_body("elsewhere")
    wait_until(lambda: stack.webhook(body, **{"momento-signature": signature(body, secret)}).status == 200)
