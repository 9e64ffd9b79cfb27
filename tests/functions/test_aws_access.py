"""What the functions make of AWS services: records of messages, queues, secrets."""

from __future__ import annotations

import importlib
import sys
import time
import uuid
from collections.abc import Callable, Iterator
from datetime import timedelta
from types import ModuleType
from typing import Any

import boto3
import pytest

from tests.support.aws_proxy import AwsProxy

MINUTE_MILLIS = 60_000


@pytest.fixture
def key() -> tuple[str, ...]:
    return ("cache", "topic", str(uuid.uuid4()))


@pytest.fixture(scope="module")
def module(environment: dict[str, str]) -> Callable[[str], ModuleType]:
    """Import a module of `aws_access`, which needs a region."""
    return lambda name: importlib.import_module(f"aws_access.{name}")


@pytest.fixture
def records(module: Callable[[str], ModuleType], environment: dict[str, str]) -> Callable[..., Any]:
    """Make the records as one process has them."""

    def make(kept_for: timedelta = timedelta(hours=1)) -> Any:
        return module("message_records").MessageRecords(environment["IDEMPOTENCY_TABLE"], kept_for)

    return make


def test_a_record_tells_the_state_of_a_message(
    module: Callable[[str], ModuleType], records: Callable[..., Any], key: tuple[str, ...]
) -> None:
    errors = module("message_records")
    first, second = records(), records()
    assert first.begin(key, MINUTE_MILLIS) is False
    with pytest.raises(errors.InProgressError):
        second.begin(key, MINUTE_MILLIS)
    first.release(key)
    assert second.begin(key, MINUTE_MILLIS) is True
    second.complete(key)
    for one in (first, second):
        with pytest.raises(errors.AlreadyDoneError):
            one.begin(key, MINUTE_MILLIS)


def test_another_attempt_can_take_a_record_once_the_first_one_has_timed_out(
    records: Callable[..., Any], key: tuple[str, ...]
) -> None:
    records().begin(key, -1000)
    assert records().begin(key, MINUTE_MILLIS) is True


def test_a_late_release_does_not_free_the_record_of_another_attempt(
    module: Callable[[str], ModuleType], records: Callable[..., Any], key: tuple[str, ...]
) -> None:
    errors = module("message_records")
    late = records()
    late.begin(key, -1000)
    records().begin(key, MINUTE_MILLIS)
    with pytest.raises(errors.RecordsError, match="was not released"):
        late.release(key)
    with pytest.raises(errors.InProgressError):
        records().begin(key, MINUTE_MILLIS)


def test_an_expired_record_is_free_before_dynamodb_removes_it(
    records: Callable[..., Any], key: tuple[str, ...]
) -> None:
    expired = records(timedelta(seconds=-10))
    expired.begin(key, MINUTE_MILLIS)
    expired.complete(key)
    assert records().begin(key, MINUTE_MILLIS) is True


def test_two_keys_that_differ_in_one_part_are_different(
    records: Callable[..., Any], key: tuple[str, ...]
) -> None:
    for other in (key, key[1:], (*key[:2], f"{key[2]}x"), (key[0], *reversed(key[1:]))):
        assert records().begin(other, MINUTE_MILLIS) is False


@pytest.mark.parametrize("operation", ["begin", "complete", "release"])
def test_an_error_names_the_step_that_failed_in_dynamodb(
    module: Callable[[str], ModuleType], key: tuple[str, ...], operation: str
) -> None:
    errors = module("message_records")
    without_table = errors.MessageRecords("missing", timedelta(hours=1))
    arguments = (key, MINUTE_MILLIS) if operation == "begin" else (key,)
    said = {"begin": "taken", "complete": "completed", "release": "released"}[operation]
    with pytest.raises(errors.RecordsError, match=f"its record was not {said}: .*ResourceNotFound"):
        getattr(without_table, operation)(*arguments)


@pytest.fixture
def sqs(aws_endpoint: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[AwsProxy]:
    with AwsProxy(aws_endpoint) as aws:
        monkeypatch.setenv("AWS_ENDPOINT_URL_SQS", aws.url)
        yield aws


@pytest.fixture
def queue(module: Callable[[str], ModuleType], sqs: AwsProxy) -> Any:
    url = boto3.client("sqs").create_queue(QueueName=uuid.uuid4().hex)["QueueUrl"]
    sqs.calls.clear()
    return module("queues").Queue(url, timeout_seconds=5)


def sent(sqs: AwsProxy) -> list[tuple[str, int]]:
    """Return the text and the delay of each message that SQS was asked to take."""
    calls = [parameters for operation, parameters in sqs.calls if operation == "SendMessage"]
    return [(call["MessageBody"], call["DelaySeconds"]) for call in calls]


def test_a_message_is_sent_again_after_a_broken_connection(queue: Any, sqs: AwsProxy) -> None:
    sqs.troubles["SendMessage"] = "lose"
    queue.send("text", delay_seconds=7)
    assert sent(sqs) == [("text", 7)] * 2


def test_a_message_is_sent_twice_at_most(
    module: Callable[[str], ModuleType], queue: Any, sqs: AwsProxy
) -> None:
    sqs.troubles["SendMessage"] = "fail"
    with pytest.raises(module("queues").QueueError, match="500"):
        queue.send("text")
    assert sent(sqs) == [("text", 0)] * 2


def test_a_message_that_cannot_be_hidden_is_an_error(module: Callable[[str], ModuleType], queue: Any) -> None:
    with pytest.raises(module("queues").QueueError, match="ReceiptHandle"):
        queue.hide("none", 5)


@pytest.fixture
def aws(aws_endpoint: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[AwsProxy]:
    with AwsProxy(aws_endpoint) as aws:
        for service in ("SECRETS_MANAGER", "DYNAMODB"):
            monkeypatch.setenv(f"AWS_ENDPOINT_URL_{service}", aws.url)
        yield aws


def test_reading_a_secret_is_attempted_twice(
    module: Callable[[str], ModuleType], aws: AwsProxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = uuid.uuid4().hex
    boto3.client("secretsmanager").create_secret(Name=name, SecretString="text")
    # A module of this test's own, because it makes its client when it is imported.
    monkeypatch.setitem(sys.modules, "aws_access.secrets", ModuleType("replaced"))
    del sys.modules["aws_access.secrets"]
    secrets = module("secrets")
    aws.calls.clear()
    aws.troubles["GetSecretValue"] = "fail"
    with pytest.raises(secrets.SecretError):
        secrets.read_secret(name)
    assert [operation for operation, _ in aws.calls] == ["GetSecretValue"] * 2
    aws.troubles["GetSecretValue"] = "lose"
    assert secrets.read_secret(name) == "text"


def test_updating_a_lease_is_attempted_twice(
    module: Callable[[str], ModuleType], environment: dict[str, str], aws: AwsProxy
) -> None:
    leases, name = module("lease_table"), uuid.uuid4().hex
    table = leases.LeaseTable(environment["IDEMPOTENCY_TABLE"])
    me = {":me": {"S": "me"}}
    aws.troubles["UpdateItem"] = "fail"
    with pytest.raises(leases.TableError):
        table.update(name, "SET holder = :me", me)
    assert [operation for operation, _ in aws.calls] == ["UpdateItem"] * 2
    aws.troubles["UpdateItem"] = "lose"
    assert table.update(name, "SET holder = :me", me) == {"id": {"S": name}, "holder": {"S": "me"}}


def test_a_failed_condition_returns_the_item(
    module: Callable[[str], ModuleType], environment: dict[str, str]
) -> None:
    leases, name = module("lease_table"), uuid.uuid4().hex
    table = leases.LeaseTable(environment["IDEMPOTENCY_TABLE"])
    me = {":me": {"S": "me"}}
    with pytest.raises(leases.ConditionFailedError) as missing:
        table.update(name, "SET holder = :me", me, "holder = :me")
    assert missing.value.item == {}
    table.update(name, "SET holder = :me", me, "attribute_not_exists(holder)")
    with pytest.raises(leases.ConditionFailedError) as held:
        table.update(name, "SET holder = :me", me, "attribute_not_exists(holder)")
    assert held.value.item == {"id": {"S": name}, "holder": {"S": "me"}}


def test_a_secret_is_cached_until_it_expires(module: Callable[[str], ModuleType]) -> None:
    secrets, name = module("secrets"), uuid.uuid4().hex
    stored = boto3.client("secretsmanager")
    stored.create_secret(Name=name, SecretString=" first\n")
    assert secrets.read_secret(name) == "first"
    assert secrets.read_previous_secret(name) is None
    stored.put_secret_value(SecretId=name, SecretString="\ufeffsecond")
    assert secrets.read_secret(name) == "first"
    assert secrets.reread_secret(name) is True
    assert secrets.read_secret(name) == "second"
    assert secrets.read_previous_secret(name) == "first"
    assert secrets.reread_secret(name) is False


def test_a_secret_is_read_again_after_five_seconds(
    module: Callable[[str], ModuleType], monkeypatch: pytest.MonkeyPatch
) -> None:
    secrets, name = module("secrets"), uuid.uuid4().hex
    boto3.client("secretsmanager").create_secret(Name=name, SecretString="text")
    now = time.time()
    for seconds, is_read in ((0, True), (4.9, False), (5, True), (9.9, False), (10.1, True)):
        monkeypatch.setattr(time, "time", lambda seconds=seconds: now + seconds)
        assert secrets.reread_secret(name) is is_read


@pytest.mark.parametrize("operation", ["read_secret", "reread_secret"])
def test_an_error_names_the_secret(module: Callable[[str], ModuleType], operation: str) -> None:
    secrets, name = module("secrets"), uuid.uuid4().hex
    with pytest.raises(secrets.SecretError, match=name):
        getattr(secrets, operation)(name)


@pytest.mark.parametrize("value", [{"SecretString": " \n"}, {"SecretBinary": b"bytes"}])
def test_a_blank_or_binary_secret_raises_its_own_error(
    module: Callable[[str], ModuleType], value: dict[str, Any]
) -> None:
    secrets, name = module("secrets"), uuid.uuid4().hex
    boto3.client("secretsmanager").create_secret(Name=name, **value)
    with pytest.raises(secrets.NoTextError, match=name):
        secrets.read_secret(name)
