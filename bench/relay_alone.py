"""Measure the relay alone, between a topic and a webhook in this process. The webhook answers after 25 ms.

`python -m bench.relay_alone` runs only this benchmark, with the Python that runs it.
"""

import asyncio
import base64
import contextlib
import json
import logging
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import boto3
import grpc
import psutil
from aiohttp import web
from momento_wire_types import cachepubsub_pb2 as messages
from momento_wire_types import cachepubsub_pb2_grpc as service
from moto.server import ThreadedMotoServer
from rich.console import Console
from rich.table import Table

from bench.cost import MEMORY_SIZES, lambda_dollars_per_month
from bench.figures import quantile
from bench.processor_share import processor_share
from bench.stack import ROOT
from local.serving.child_process import clean_environment
from local.stack.sam_profile import host_architecture

ANSWER_SECONDS = 0.025
RELAY_RATE = 100
"""Messages a second at which the memory sizes are compared."""
_CONCURRENCY = 64
DEFAULT_CONCURRENCY = 16
"""The template's default of RelayConcurrency."""
_SECONDS_TO_DELIVER = 60
_OTHER_PUBLISHERS = 50
_FLOOD = "flood"
_MOST_WAITING = 400
"""Messages sent without a pause that wait at the same time. The relay spills what waits behind more."""
_AWS = {
    "AWS_DEFAULT_REGION": "us-east-1",
    "AWS_ACCESS_KEY_ID": "local",
    "AWS_SECRET_ACCESS_KEY": "local",
    "AWS_CONFIG_FILE": "/dev/null",
    "AWS_SHARED_CREDENTIALS_FILE": "/dev/null",
}


@dataclass(frozen=True, slots=True)
class PlannedMessage:
    """A message to send: seconds after the first one, and its publisher."""

    at: float
    publisher: str


@dataclass(frozen=True, slots=True)
class RelayOutcome:
    """The measurements of a load. Latencies are from sending a message to the webhook's answer."""

    name: str
    publishers: int
    sent: int
    delivered_per_second: float
    p50_ms: float
    p99_ms: float
    others_p99_ms: float
    """The p99 of all publishers except `flood`, whose messages the relay may spill."""
    cpu_ms: float
    """Processor time of the relay per delivered message."""
    megabytes: float
    """Memory in use at the end."""


class RelayError(Exception):
    """The relay did not deliver every message in time."""


def as_fast_as_possible(publishers: int, seconds: float) -> list[PlannedMessage]:
    """Return messages to send without a pause: as many as a relay can deliver in `seconds` at most."""
    count = int(seconds * min(publishers, _CONCURRENCY) / ANSWER_SECONDS)
    return [PlannedMessage(0, f"user{number % publishers}") for number in range(count)]


def at_rate(publishers: int, rate: float, seconds: float) -> list[PlannedMessage]:
    """Return messages at a fixed rate, with the publishers taking turns."""
    return [
        PlannedMessage(number / rate, f"user{number % publishers}") for number in range(int(rate * seconds))
    ]


def with_flood(planned: Sequence[PlannedMessage], rate: float) -> list[PlannedMessage]:
    """Return the messages together with those of `flood`, a publisher that sends `rate` messages a second."""
    last = planned[-1].at
    flood = [PlannedMessage(number / rate, _FLOOD) for number in range(int(rate * last))]
    return sorted([*planned, *flood], key=lambda message: message.at)


def measure_relay(
    name: str,
    planned: Sequence[PlannedMessage],
    concurrency: int = _CONCURRENCY,
    command_prefix: Sequence[str] = (),
) -> RelayOutcome:
    """Start a relay, send it the messages when it is ready, and measure the delivery. Raise `RelayError`."""
    return asyncio.run(_measure(name, planned, concurrency, command_prefix))


def measure_load(seconds: float) -> list[RelayOutcome]:
    """Measure one publisher, 64 publishers, and a publisher that sends at 100 times the others' rate."""
    rate = 1.0
    others = at_rate(_OTHER_PUBLISHERS, _OTHER_PUBLISHERS * rate, seconds)
    return [
        measure_relay("one publisher", as_fast_as_possible(1, seconds)),
        measure_relay("64 publishers", as_fast_as_possible(64, seconds)),
        measure_relay("50 publishers, one message a second each", others),
        measure_relay("the same, and one that sends 100 a second", with_flood(others, 100 * rate)),
    ]


def measure_by_memory(rate: float, seconds: float, sizes: Sequence[int]) -> dict[int, RelayOutcome]:
    """Measure a load with the processor share of each memory size.

    Return an empty dictionary if this machine does not support processor shares.
    """
    outcomes: dict[int, RelayOutcome] = {}
    for size in sizes:
        with processor_share(size) as prefix:
            if prefix is None:
                return {}
            planned = at_rate(64, rate, seconds)
            outcomes[size] = measure_relay(f"{size} MB", planned, DEFAULT_CONCURRENCY, prefix)
    return outcomes


class _Topic(service.PubsubServicer):
    """A topic that sends a first message, and the planned messages after `go_on` is set."""

    def __init__(self, planned: Sequence[PlannedMessage], webhook: "_SlowWebhook") -> None:
        self.began = 0.0
        self.due: dict[int, float] = {}
        """When each message was to be sent."""
        self.go_on = asyncio.Event()
        self._planned = planned
        self._webhook = webhook

    async def Subscribe(  # noqa: N802 - the protocol's name
        self, _request: Any, _call: Any
    ) -> AsyncIterator[messages._SubscriptionItem]:
        yield messages._SubscriptionItem(heartbeat={})
        yield _item(0, "first")
        await self.go_on.wait()
        self.began = time.monotonic()
        for number, message in enumerate(self._planned, 1):
            if (wait := self.began + message.at - time.monotonic()) > 0:
                await asyncio.sleep(wait)
            while message.at == 0 and number - len(self._webhook.answered) > _MOST_WAITING:  # noqa: ASYNC110 (cheaper)
                await asyncio.sleep(0.001)
            self.due[number] = time.monotonic() if message.at == 0 else self.began + message.at
            yield _item(number, message.publisher)
        while True:
            await asyncio.sleep(1)
            yield messages._SubscriptionItem(heartbeat={})


def _item(number: int, publisher: str) -> messages._SubscriptionItem:
    return messages._SubscriptionItem(
        item={
            "topic_sequence_number": number,
            "sequence_page": 1,
            "publisher_id": publisher,
            "value": {"text": json.dumps({"courseId": 1, "comment": "x" * 100})},
        }
    )


class _SlowWebhook:
    """A webhook that answers each request after 25 ms, and records when."""

    def __init__(self, awaited: Iterable[int]) -> None:
        """`is_complete` is set when the messages with these numbers are answered."""
        self.answered: dict[int, float] = {}
        self.is_reached = asyncio.Event()
        self.is_complete = asyncio.Event()
        self._awaited = set(awaited)

    async def answer(self, request: web.Request) -> web.Response:
        fields = await request.json()
        await asyncio.sleep(ANSWER_SECONDS)
        number = fields["topic_sequence_number"]
        self.answered.setdefault(number, time.monotonic())
        self._awaited.discard(number)
        self.is_reached.set()
        if not self._awaited:
            self.is_complete.set()
        return web.json_response({"status": "stored"})


async def _measure(
    name: str, planned: Sequence[PlannedMessage], concurrency: int, command_prefix: Sequence[str]
) -> RelayOutcome:
    awaited = [number for number, message in enumerate(planned, 1) if message.publisher != _FLOOD]
    webhook = _SlowWebhook(awaited)
    topic = _Topic(planned, webhook)
    async with contextlib.AsyncExitStack() as stack:
        server = grpc.aio.server()
        service.add_PubsubServicer_to_server(topic, server)
        port = server.add_insecure_port("127.0.0.1:0")
        await server.start()
        stack.push_async_callback(server.stop, None)
        application = web.Application()
        application.router.add_post("/", webhook.answer)
        runner = web.AppRunner(application, access_log=None)
        await runner.setup()
        stack.push_async_callback(runner.cleanup)
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        environment = stack.enter_context(_environment(port, runner.addresses[0][1]))
        environment |= {"PYTHONPATH": str(ROOT / "src"), "RELAY_CONCURRENCY": str(concurrency)}
        async with _relay([*command_prefix, sys.executable, "-m", "relay"], environment) as process:
            try:
                await asyncio.wait_for(webhook.is_reached.wait(), _SECONDS_TO_DELIVER)
                started = _processor_seconds(process)
                topic.go_on.set()
                seconds = planned[-1].at + _SECONDS_TO_DELIVER
                await asyncio.wait_for(webhook.is_complete.wait(), seconds)
            except TimeoutError:
                raise RelayError(
                    f"{name}: the relay delivered only {len(webhook.answered) - 1} of {len(planned)} messages"
                ) from None
            used = _processor_seconds(process) - started
            memory = process.memory_info().rss
    latencies = [
        (message.publisher, 1000 * (webhook.answered[number] - topic.due[number]))
        for number, message in enumerate(planned, 1)
        if number in webhook.answered
    ]
    all_ms = [ms for _, ms in latencies]
    return RelayOutcome(
        name=name,
        publishers=len({message.publisher for message in planned}),
        sent=len(planned),
        delivered_per_second=len(latencies) / (max(webhook.answered.values()) - topic.began),
        p50_ms=quantile(all_ms, 0.5),
        p99_ms=quantile(all_ms, 0.99),
        others_p99_ms=quantile([ms for publisher, ms in latencies if publisher != _FLOOD], 0.99),
        cpu_ms=1000 * used / len(latencies),
        megabytes=memory / 1e6,
    )


@contextlib.asynccontextmanager
async def _relay(command: Sequence[str], environment: Mapping[str, str]) -> AsyncIterator[psutil.Process]:
    variables = {**clean_environment(), **environment}
    process = await asyncio.create_subprocess_exec(*command, env=variables, stdout=subprocess.DEVNULL)
    try:
        yield psutil.Process(process.pid)
    finally:
        process.terminate()
        await process.wait()  # It ends when this process has answered its calls.


def _processor_seconds(process: psutil.Process) -> float:
    times = process.cpu_times()
    return float(times.user + times.system)


@contextlib.contextmanager
def _environment(momento_port: int, webhook_port: int) -> Iterator[dict[str, str]]:
    """Start AWS services for the relay alone, and yield the relay's environment."""
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    try:
        host, port = server.get_host_and_port()
        endpoint = f"http://{host}:{port}"
        session = boto3.Session("local", "local", region_name="us-east-1")
        secrets = session.client("secretsmanager", endpoint_url=endpoint)
        key = {"endpoint": "unused.example", "api_key": "unused"}
        api_key = base64.b64encode(json.dumps(key).encode()).decode()
        for name, value in (("api-key", api_key), ("signing", "the-signing-secret")):
            with contextlib.suppress(secrets.exceptions.ResourceExistsException):
                secrets.create_secret(Name=name, SecretString=value)
        queue = session.client("sqs", endpoint_url=endpoint).create_queue(QueueName=f"relay-{momento_port}")
        table = f"relay-{momento_port}"
        session.client("dynamodb", endpoint_url=endpoint).create_table(
            TableName=table,
            BillingMode="PAY_PER_REQUEST",
            AttributeDefinitions=[{"AttributeName": "id", "AttributeType": "S"}],
            KeySchema=[{"AttributeName": "id", "KeyType": "HASH"}],
        )
        yield {
            **_AWS,
            "AWS_ENDPOINT_URL": endpoint,
            "POWERTOOLS_SERVICE_NAME": "relay",
            "POWERTOOLS_METRICS_NAMESPACE": "bench",
            "POWERTOOLS_PARAMETERS_MAX_AGE": "300",
            "CACHE_NAME": "bench",
            "TOPICS": "comment",
            "MOMENTO_API_KEY_SECRET": "api-key",
            "MOMENTO_ENDPOINT": "",
            "MOMENTO_LOCAL": f"127.0.0.1:{momento_port}",
            "WEBHOOK_URL": f"http://127.0.0.1:{webhook_port}/",
            "WEBHOOK_SIGNING_SECRET": "signing",
            "DEAD_LETTER_QUEUE_URL": queue["QueueUrl"],
            "SPILL_QUEUE_URL": queue["QueueUrl"],
            "RELAY_TABLE": table,
        }
    finally:
        server.stop()


def load_rows(outcomes: Sequence[RelayOutcome]) -> list[Sequence[str]]:
    """Return the table of the loads, with its heading."""
    heading = (
        "",
        "messages",
        "delivered a second",
        "p50, ms",
        "p99, ms",
        "p99 of the others, ms",
        "CPU, ms each",
    )
    return [
        heading,
        *(
            (
                one.name,
                str(one.sent),
                f"{one.delivered_per_second:.0f}",
                f"{one.p50_ms:.0f}",
                f"{one.p99_ms:.0f}",
                f"{one.others_p99_ms:.0f}",
                f"{one.cpu_ms:.2f}",
            )
            for one in outcomes
        ),
    ]


def memory_rows(by_memory: Mapping[int, RelayOutcome], architecture: str) -> list[Sequence[str]]:
    """Return the table of the memory sizes, with its heading."""
    return [
        ("memory, MB", "delivered a second", "p50, ms", "p99, ms", "memory in use, MB", "$ a month"),
        *(
            (
                str(size),
                f"{one.delivered_per_second:.0f}",
                f"{one.p50_ms:.0f}",
                f"{one.p99_ms:.0f}",
                f"{one.megabytes:.0f}",
                f"{lambda_dollars_per_month(size, architecture):.2f}",
            )
            for size, one in by_memory.items()
        ),
    ]


def main() -> None:
    """Measure, and print the tables."""
    seconds = float(sys.argv[1]) if len(sys.argv) > 1 else 10
    console = Console(width=None if sys.stdout.isatty() else 160)
    by_memory = measure_by_memory(RELAY_RATE, seconds, MEMORY_SIZES)
    for heading, *rows in (
        load_rows(measure_load(seconds)),
        memory_rows(by_memory, host_architecture()),
    ):
        table = Table(*heading)
        for row in rows:
            table.add_row(*row)
        console.print(table)


if __name__ == "__main__":
    main()
