"""What invokes functions besides requests: queues and schedules. And reserved concurrency, for all alike."""

import asyncio
import json
from collections import Counter
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import aiohttp
import boto3
import pytest
from botocore.config import Config

from local.aws.services import AwsServices
from local.cloudformation.template import Template, TemplateError
from local.lambda_host.host import LambdaHost
from tests.support.aws_client import aws_client
from tests.support.lambda_host import FOLDER, HostFactory

Logged = list[tuple[str, str]]


class Queue:
    """A queue, as anybody uses it."""

    def __init__(self, client: Any, url: str) -> None:
        self._client = client
        self._url = url

    async def send(self, *bodies: Any) -> None:
        entries = [{"Id": str(i), "MessageBody": json.dumps(body)} for i, body in enumerate(bodies)]
        await asyncio.to_thread(self._client.send_message_batch, QueueUrl=self._url, Entries=entries)

    async def count(self, *names: str) -> int:
        """Return how many messages there are, with those that have been received."""
        names = names or ("ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible")
        answer = await asyncio.to_thread(
            self._client.get_queue_attributes, QueueUrl=self._url, AttributeNames=list(names)
        )
        return sum(int(answer["Attributes"][name]) for name in names)

    async def show_again(self, receipt_handle: str) -> None:
        """End the visibility timeout of a received message. Do nothing if it has left the queue."""
        entry = {"Id": "1", "ReceiptHandle": receipt_handle, "VisibilityTimeout": 0}
        await asyncio.to_thread(
            self._client.change_message_visibility_batch, QueueUrl=self._url, Entries=[entry]
        )

    async def bodies(self) -> list[str]:
        """Return the bodies of the messages that are there."""
        bodies: list[str] = []
        while messages := (
            await asyncio.to_thread(self._client.receive_message, QueueUrl=self._url, MaxNumberOfMessages=10)
        ).get("Messages"):
            bodies += [message["Body"] for message in messages]
        return bodies


@pytest.fixture
async def template(services: AwsServices) -> Template:
    return await services.create_resources(Template.load(FOLDER / "events.yaml", {}))


@pytest.fixture
async def host(
    services: AwsServices, template: Template, start_host: HostFactory, tmp_path: Path
) -> AsyncIterator[LambdaHost]:
    async with start_host(
        template,
        environment={"FOLDER": str(tmp_path)},
        aws_endpoint_url=services.endpoint_url,
        assume_role=services.assume_role,
    ) as host:
        yield host


@pytest.fixture
async def queue_of(services: AwsServices, template: Template) -> Callable[[str], Queue]:
    client = await asyncio.to_thread(aws_client, "sqs", services.endpoint_url)
    return lambda name: Queue(client, template.attributes[name])


async def _until(happened: Callable[[], bool]) -> None:
    async with asyncio.timeout(30):
        while not happened():  # noqa: ASYNC110 (lines come by a plain callback, files from other processes)
            await asyncio.sleep(0.01)


async def _until_empty(queue: Queue) -> None:
    """Wait until a queue holds no message, where every message succeeds.

    A message that fails can be missed: it is counted neither as visible nor as received if its visibility
    timeout ends between the two counts.
    """
    async with asyncio.timeout(30):
        while await queue.count():  # noqa: ASYNC110 (a queue tells nobody)
            await asyncio.sleep(0.05)


async def _until_dead(count: int, dead_letters: Queue, queue: Queue, logged: Logged) -> None:
    """Wait for dead letters. Each try of a message that fails is followed by the next at once.

    The visibility timeout is longer than a batch takes on a slow machine, so nobody waits for its end.
    """
    shown: set[str] = set()
    async with asyncio.timeout(30):
        while await dead_letters.count() != count:
            failing = {one["receiptHandle"] for one in _records(logged) if '"text"' not in one["body"]}
            for receipt_handle in failing - shown:
                await queue.show_again(receipt_handle)
            shown |= failing
            await asyncio.sleep(0.05)


def _records(logged: Logged) -> list[dict[str, Any]]:
    """Return what batches were of, in the order of their coming."""
    events = [json.loads(line) for _, line in logged if line.startswith('{"Records"')]
    return [record for event in events for record in event["Records"]]


async def test_messages_come_as_lambda_builds_them_and_are_deleted(
    host: LambdaHost, queue_of: Callable[[str], Queue], template: Template, log_lines: Logged
) -> None:
    queue = queue_of("Messages")
    await queue.send({"text": "ünï"})
    await _until(lambda: bool(_records(log_lines)))
    [record] = _records(log_lines)
    assert record.keys() == {
        *("messageId", "receiptHandle", "body", "attributes", "messageAttributes", "md5OfBody"),
        *("eventSource", "eventSourceARN", "awsRegion"),
    }
    assert json.loads(record["body"]) == {"text": "ünï"}
    assert record["eventSource"] == "aws:sqs"
    assert record["eventSourceARN"] == template.attributes["Messages.Arn"]
    assert record["awsRegion"] == "us-east-1"
    assert record["attributes"].keys() >= {
        *("ApproximateReceiveCount", "SentTimestamp", "SenderId", "ApproximateFirstReceiveTimestamp")
    }
    assert record["attributes"]["ApproximateReceiveCount"] == "1"
    await _until_empty(queue)


async def test_only_failed_messages_come_again_and_become_dead_letters(
    host: LambdaHost, queue_of: Callable[[str], Queue], log_lines: Logged
) -> None:
    queue, dead_letters = queue_of("Messages"), queue_of("DeadLetters")
    await queue.send({"text": 1}, {"fail": 2}, {"text": 3})
    await _until_dead(1, dead_letters, queue, log_lines)
    await _until_empty(queue)
    tries = [
        (record["body"], record["attributes"]["ApproximateReceiveCount"]) for record in _records(log_lines)
    ]
    assert sorted(tries) == [
        ('{"fail": 2}', "1"),
        ('{"fail": 2}', "2"),
        ('{"text": 1}', "1"),
        ('{"text": 3}', "1"),
    ]


_ALL_DONE: list[Any] = [None, {}, {"batchItemFailures": None}, {"batchItemFailures": []}]
_ALL_FAILED: list[Any] = [
    "fine",
    {"batchItemFailures": 1},
    {"batchItemFailures": [["1"]]},
    {"batchItemFailures": [{"messageId": "1"}]},
    {"batchItemFailures": [{"itemIdentifier": None}]},
    {"batchItemFailures": [{"itemIdentifier": ""}]},
    {"batchItemFailures": [{"itemIdentifier": ["1"]}]},
    {"batchItemFailures": [{"itemIdentifier": "another message"}]},
]


async def test_an_answer_that_names_no_message_decides_over_the_whole_batch(
    host: LambdaHost, queue_of: Callable[[str], Queue], log_lines: Logged
) -> None:
    queue, dead_letters = queue_of("Messages"), queue_of("DeadLetters")
    for answer in _ALL_DONE:
        await queue.send({"answer": answer}, {"answer": answer})
        await _until_empty(queue)
    for answer in _ALL_FAILED:
        await queue.send({"answer": answer}, {"answer": answer})
    await _until_dead(2 * len(_ALL_FAILED), dead_letters, queue, log_lines)
    await queue.send({"raise": "an error"}, {"raise": "an error"})
    await _until_dead(2 * len(_ALL_FAILED) + 2, dead_letters, queue, log_lines)
    assert Counter(await dead_letters.bodies()) == {
        json.dumps(body): 2 for body in [*({"answer": one} for one in _ALL_FAILED), {"raise": "an error"}]
    }


async def test_answers_mean_nothing_if_failures_are_not_reported(
    host: LambdaHost, queue_of: Callable[[str], Queue]
) -> None:
    await queue_of("PlainMessages").send({"fail": 1}, {"answer": "fine"})
    await _until_empty(queue_of("PlainMessages"))
    assert await queue_of("DeadLetters").count() == 0


async def test_no_more_batches_at_once_than_are_allowed(
    host: LambdaHost, queue_of: Callable[[str], Queue], tmp_path: Path
) -> None:
    queue = queue_of("MeetingMessages")
    (tmp_path / "met").mkdir()
    # Nine in batches of three, each of which waits until three have come.
    await queue.send(*[{"meet": str(tmp_path / "met"), "expected": 3}] * 9)
    await _until(lambda: len(list((tmp_path / "met").iterdir())) == 2)
    assert await queue.count("ApproximateNumberOfMessages") == 3
    (tmp_path / "met" / "this test").touch()
    await _until_empty(queue)
    assert len(host.processes("MeetingFunction")) == 2


async def test_a_queue_must_hold_messages_for_as_long_as_the_function_may_take(
    services: AwsServices, tmp_path: Path, start_host: HostFactory
) -> None:
    text = (FOLDER / "events.yaml").read_text().replace("Timeout: 20}", "Timeout: 21}")
    (tmp_path / "template.yaml").write_text(text)
    template = await services.create_resources(Template.load(tmp_path / "template.yaml", {}))
    host = start_host(template, aws_endpoint_url=services.endpoint_url, assume_role=services.assume_role)
    with pytest.raises(
        TemplateError, match="visibility timeout of 20 s is less than the timeout of BatchFunction"
    ):
        await host.__aenter__()


async def test_a_role_has_to_allow_lambdas_calls_to_the_queue(
    services: AwsServices, tmp_path: Path, start_host: HostFactory
) -> None:
    text = (FOLDER / "events.yaml").read_text().replace(", sqs:GetQueueAttributes", "")
    (tmp_path / "template.yaml").write_text(text)
    template = await services.create_resources(Template.load(tmp_path / "template.yaml", {}))
    host = start_host(template, aws_endpoint_url=services.endpoint_url, assume_role=services.assume_role)
    with pytest.raises(TemplateError, match="not authorized to perform: sqs:GetQueueAttributes"):
        await host.__aenter__()


async def test_a_schedule_invokes_at_once_and_then_at_its_rate_beside_running_invocations(
    host_of_schedule: LambdaHost, log_lines: Logged
) -> None:
    await _until(lambda: len(_scheduled(log_lines)) >= 2)
    first, second = _scheduled(log_lines)[:2]
    assert first.pop("id") != second.pop("id")
    assert first.pop("time") <= second.pop("time")
    assert first == second
    assert first == {
        "version": "0",
        "detail-type": "Scheduled Event",
        "source": "aws.scheduler",
        "account": "123456789012",
        "region": "us-east-1",
        "resources": ["arn:aws:scheduler:us-east-1:123456789012:schedule/default/ScheduledFunctionOften"],
        "detail": "{}",
    }
    assert len(host_of_schedule.processes("ScheduledFunction")) >= 2


@pytest.fixture
async def host_of_schedule(
    monkeypatch: pytest.MonkeyPatch, services: AwsServices, template: Template, start_host: HostFactory
) -> AsyncIterator[LambdaHost]:
    """Start a host whose schedules take a tenth of a second for a minute."""
    monkeypatch.setattr("local.lambda_host.declaration._SECONDS", {"minute": 0.1})
    async with start_host(
        template, aws_endpoint_url=services.endpoint_url, assume_role=services.assume_role
    ) as host:
        yield host


def _scheduled(logged: Logged) -> list[dict[str, Any]]:
    return [json.loads(line) for function, line in logged if line.startswith('{"version"')]


async def test_beyond_reserved_concurrency_callers_are_refused_and_events_wait(
    host: LambdaHost,
    http: aiohttp.ClientSession,
    boto3_session: boto3.Session,
    queue_of: Callable[[str], Queue],
    tmp_path: Path,
) -> None:
    holding = asyncio.create_task(host.invoke("ReservedFunction", b"{}"))
    await _until((tmp_path / "came").exists)

    async with http.get(host.function_url) as response:
        assert response.status == 429
    async with http.get(f"{host.http_api_url}/hold") as response:
        assert (response.status, await response.json()) == (503, {"message": "Service Unavailable"})
    config = Config(retries={"total_max_attempts": 1}, proxies={})
    client = boto3_session.client("lambda", endpoint_url=host.invoke_url, config=config)
    with pytest.raises(client.exceptions.TooManyRequestsException) as refusal:
        await asyncio.to_thread(client.invoke, FunctionName="ReservedFunction")
    assert refusal.value.response.get("Reason") == "ReservedFunctionConcurrentInvocationLimitExceeded"
    answer = await asyncio.to_thread(
        client.invoke, FunctionName="ReservedFunction", InvocationType="Event", Payload="{}"
    )
    assert answer["StatusCode"] == 202
    await queue_of("HeldMessages").send({})
    async with asyncio.timeout(30):
        while not await queue_of("HeldMessages").count("ApproximateNumberOfMessagesNotVisible"):  # noqa: ASYNC110
            await asyncio.sleep(0.05)

    (tmp_path / "go").touch()
    assert json.loads((await holding).payload) == {"statusCode": 200}
    await _until_empty(queue_of("HeldMessages"))
    async with http.get(host.function_url) as response:
        assert response.status == 200
    assert len(host.processes("ReservedFunction")) == 1


async def test_a_function_can_know_its_own_url(
    services: AwsServices, template: Template, start_host: HostFactory
) -> None:
    template.document["Resources"]["ReservedFunction"]["Properties"]["Handler"] = "handlers.environment"
    async with start_host(
        template, aws_endpoint_url=services.endpoint_url, assume_role=services.assume_role
    ) as host:
        variables = json.loads((await host.invoke("ReservedFunction", b"{}")).payload)["variables"]
        assert variables["OWN_URL"] == f"{host.function_url}/"
