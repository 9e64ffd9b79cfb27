"""The system under test: a local stack, and how to reach what faults are done to."""

import asyncio
import json
import os
import signal
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any, Self

import aiohttp
import psutil
from momento import CacheClientAsync, Configurations
from momento.responses import CacheGet, CacheListFetch

from local.aws.event_queue import EVENT_QUEUE
from local.aws.services import User
from local.momento.topics import Message, epoch_milliseconds
from local.momento.webhooks import SIGNATURE_HEADER, sign
from local.poll import local_place, open_poll
from local.serving.child_process import ChildProcess
from local.serving.ports import port_in
from local.stack.client import super_user_credentials
from local.stack.local_stack import ROOT, USERS, LocalStack
from tests.chaos.aws_proxy import AwsProxy
from tests.chaos.load import Load
from tests.chaos.topic_verdicts import CHOICES, LANGUAGES
from tests.chaos.witness import DeadLetter, Witness, topic_id
from tests.support.aws_client import aws_client
from tests.support.flow_proxy import FlowProxy

TOKEN_VENDOR = "TokenVendorFunction"
PUBLISHER = "PublisherFunction"
WEBHOOK = "WebhookFunction"
RELAY = "RelayFunction"
FUNCTIONS = (TOKEN_VENDOR, PUBLISHER, WEBHOOK, RELAY)
_RELAYING = f"{RELAY}: relaying"
SPILL_TRIES = 20
_PARAMETERS = {
    "MessageSource": "relay",
    "SpillRetrySeconds": "1",
    "SpillTries": str(SPILL_TRIES),
    # Longer than any list gets, so an entry that is missing is lost.
    "CommentListLength": "200",
    "ChatLanguages": ",".join(LANGUAGES),
}


@dataclass(frozen=True)
class Flows:
    """The connections of functions: to Momento, to AWS services, and from the relay to the webhook."""

    to_momento: FlowProxy
    to_aws: FlowProxy
    to_webhook: FlowProxy

    @classmethod
    @asynccontextmanager
    async def listening(cls) -> AsyncIterator[Self]:
        """Accept connections inside, and hold them until their ways are open."""
        async with (
            FlowProxy.listening() as to_momento,
            FlowProxy.listening() as to_aws,
            FlowProxy.listening() as to_webhook,
        ):
            yield cls(to_momento, to_aws, to_webhook)


class System:
    """Everything that runs, while it runs."""

    def __init__(
        self,
        stack: LocalStack,
        proxy: AwsProxy,
        flows: Flows,
        witness: Witness,
        load: Load,
        *,
        session: aiohttp.ClientSession,
    ) -> None:
        """Use `System.running`."""
        self.aws = proxy
        self.flows = flows
        self.witness = witness
        self.load = load
        self._stack = stack
        self._facts = stack.facts
        self._session = session
        self.sqs = aws_client("sqs", stack.facts.aws_endpoint_url)
        self.secrets = aws_client("secretsmanager", stack.facts.aws_endpoint_url)
        self._relay_environment: dict[str, str] = {}
        self._events: list[dict[str, Any]] = []

    @classmethod
    @asynccontextmanager
    async def running(cls, state_directory: Path, rate: float, more_users: int) -> AsyncIterator[Self]:
        """Start a stack whose relay is at work, and users who will publish `rate` messages a second."""
        proxy, witness = AwsProxy(), Witness()
        async with AsyncExitStack() as resources:
            flows = await resources.enter_async_context(Flows.listening())

            @asynccontextmanager
            async def aws(endpoint_url: str) -> AsyncIterator[str]:
                async with proxy.serve(endpoint_url) as url:
                    flows.to_aws.forward_to(port_in(url))
                    yield f"http://{flows.to_aws.address}"

            stack = await resources.enter_async_context(
                LocalStack(
                    state_directory,
                    witness,
                    _PARAMETERS,
                    aws_proxy=aws,
                    function_environment={
                        "MOMENTO_LOCAL": flows.to_momento.address,
                        "WEBHOOK_URL": f"http://{flows.to_webhook.address}/",
                    },
                    users=[
                        *USERS,
                        *(User(f"user{number}", "Secret-of-a-user-1") for number in range(more_users)),
                    ],
                )
            )
            flows.to_momento.forward_to(stack.facts.momento.port)
            flows.to_webhook.forward_to(port_in(stack.facts.webhook_url.rstrip("/")))
            load = await resources.enter_async_context(Load.of(stack.facts, rate, witness))
            session = await resources.enter_async_context(aiohttp.ClientSession())
            system = cls(stack, proxy, flows, witness, load, session=session)
            await system.until(lambda: system.relays_begun > 0)
            system._relay_environment = psutil.Process(stack.function_processes(RELAY)[0]).environ()
            await system.open_poll("start")
            # Functions start with their first messages, which is no fault.
            async with load.during("start", 5):
                pass
            await system.until(lambda: witness.trial.stored_at.keys() == witness.trial.accepted.keys())
            yield system

    async def until(self, is_so: Callable[[], object], seconds: float = 60.0) -> None:
        """Wait until it is so; raises TimeoutError."""
        async with asyncio.timeout(seconds):
            while not is_so():  # noqa: ASYNC110 (many things make it so)
                await asyncio.sleep(0.05)

    # Momento

    async def momento(self, path: str, **query: str | int) -> None:
        """Call Momento's test admin."""
        async with self._session.post(f"{self._facts.momento.admin_url}{path}", params=query) as response:
            response.raise_for_status()

    async def reset_topic(self) -> None:
        """Start the topic's numbers again."""
        await self.momento("/reset-topic", cache=self._facts.cache, topic=self._facts.topic)

    async def publish_anonymously(self, text: str) -> None:
        """Publish with the account's key, which says nothing of who publishes."""
        at = self._facts.momento
        url = f"{at.web_url}/topics/{self._facts.cache}/{self._facts.topic}"
        async with self._session.post(
            url, data=text, headers={"Authorization": at.api_key or ""}
        ) as response:
            response.raise_for_status()

    async def lists(self, keys: Iterable[str]) -> dict[str, list[dict[str, Any]]]:
        """Return the lists at cache keys: the comments on courses, and what was said in chat rooms."""
        stored = {}
        async with self._cache() as client:
            for key in keys:
                response = await client.list_fetch(self._facts.cache, key)
                match response:
                    case CacheListFetch.Hit():
                        stored[key] = [json.loads(entry) for entry in response.value_list_string]
                    case CacheListFetch.Miss():
                        stored[key] = []
                    case _:
                        raise ConnectionError(f"list {key} cannot be read: {response}")
        return stored

    async def open_poll(self, poll_id: str) -> None:
        """Open a poll, as the documented command does."""
        place = local_place(self._facts)
        await asyncio.to_thread(open_poll, place, poll_id, "What would you like to drink?", CHOICES)

    async def tally(self, poll_id: str) -> dict[str, int]:
        """Return how many have voted for each choice."""
        async with self._cache() as client:
            response = await client.get(self._facts.cache, f"poll:{poll_id}:tally")
        if not isinstance(response, CacheGet.Hit):
            raise ConnectionError(f"the tally of poll {poll_id} cannot be read: {response}")
        tally: dict[str, int] = json.loads(response.value_string)
        return tally

    def _cache(self) -> CacheClientAsync:
        momento = self._facts.momento
        credentials = super_user_credentials(momento, momento.api_key or "")
        return CacheClientAsync(Configurations.Laptop.latest(), credentials, timedelta(minutes=1))

    # Queues

    async def spilled(self) -> int:
        """Return how many messages are in the spill queue, in hand or waiting."""
        return await asyncio.to_thread(self._count, self._facts.spill_queue_url)

    async def take_dead_letters(self) -> Counter[DeadLetter]:
        """Take all messages out of the dead-letter queue; return their topics and topic ids."""
        taken: Counter[DeadLetter] = Counter()
        for body in await asyncio.to_thread(self._take, self._facts.dead_letter_queue_url):
            one = topic_id(body["topic_sequence_page"], body["topic_sequence_number"])
            taken[body["topic"], one] += 1
        return taken

    async def events(self) -> list[dict[str, Any]]:
        """Return all events that the bus has sent to its rule's target."""
        answer = await asyncio.to_thread(self.sqs.get_queue_url, QueueName=EVENT_QUEUE)
        self._events += await asyncio.to_thread(self._take, answer["QueueUrl"])
        return self._events

    async def set_spill_tries(self, tries: int) -> None:
        """Say after how many tries a message in the spill queue is a dead letter."""
        dead_letter_queue = await self._arn(self._facts.dead_letter_queue_url)
        policy = {"deadLetterTargetArn": dead_letter_queue, "maxReceiveCount": tries}
        await asyncio.to_thread(
            self.sqs.set_queue_attributes,
            QueueUrl=self._facts.spill_queue_url,
            Attributes={"RedrivePolicy": json.dumps(policy)},
        )

    async def redrive(self) -> None:
        """Move the dead letters back, as the documented command does."""
        await asyncio.to_thread(
            self.sqs.start_message_move_task,
            SourceArn=await self._arn(self._facts.dead_letter_queue_url),
            DestinationArn=await self._arn(self._facts.spill_queue_url),
        )

    # Functions and the relay

    def processes(self, *functions: str) -> list[psutil.Process]:
        """Return the processes of functions that run."""
        found = []
        for process_id in (one for function in functions for one in self._stack.function_processes(function)):
            with suppress(psutil.NoSuchProcess):
                found.append(psutil.Process(process_id))
        return found

    def client_ports(self, *functions: str) -> set[int]:
        """Return the ports of the connections that functions have open."""
        ports = set()
        for process in self.processes(*functions):
            with suppress(psutil.NoSuchProcess):
                ports |= {connection.laddr.port for connection in process.net_connections("tcp")}
        return ports

    async def kill(self, function: str) -> None:
        """Kill all processes of a function by SIGKILL, and wait until they are gone."""
        processes = self._stack.function_processes(function)
        for process in processes:
            with suppress(ProcessLookupError):
                os.kill(process, signal.SIGKILL)
        await self.until(lambda: not set(processes) & set(self._stack.function_processes(function)))

    async def start_relay_function(self) -> None:
        """Invoke RelayFunction, as its schedule would within a minute, and wait until it relays."""
        begun = self.relays_begun
        url = f"{self._facts.lambda_url}/2015-03-31/functions/{RELAY}/invocations"
        async with self._session.post(url, json={}, headers={"X-Amz-Invocation-Type": "Event"}) as response:
            response.raise_for_status()
        await self.until(lambda: self.relays_begun > begun)

    @asynccontextmanager
    async def without_relay_function(self) -> AsyncIterator[None]:
        """Kill every run of RelayFunction inside, and start one afterwards."""

        async def kill_all() -> None:
            while True:
                await self.kill(RELAY)
                await asyncio.sleep(0.2)

        killing = asyncio.create_task(kill_all())
        try:
            yield
        finally:
            killing.cancel()
            await self.start_relay_function()

    @asynccontextmanager
    async def relay_process(self, clock_error: float = 0.0) -> AsyncIterator[None]:
        """Run a relay inside, as a process of its own, which SIGTERM ends."""
        begun = self.relays_begun
        environment = self._relay_environment
        with (self._stack.logs / "relay-processes.log").open("a", encoding="utf-8") as log:

            def logged(line: str) -> None:
                print(line, file=log)
                self.witness.function_logged(RELAY, line)

            process = await ChildProcess.start(
                "tests.chaos.shifted_clock",
                str(clock_error),
                environment={**environment, "PYTHONPATH": f"{environment['PYTHONPATH']}:{ROOT}"},
                on_output_line=logged,
            )
            try:
                await self.until(lambda: self.relays_begun > begun)
                yield
            finally:
                os.kill(process.pid, signal.SIGTERM)
                try:
                    async with asyncio.timeout(30):
                        await process.wait()
                finally:
                    await process.stop()

    @property
    def relays_begun(self) -> int:
        """Return how many relays have begun to work in this trial."""
        return self.witness.trial.counts[_RELAYING]

    async def signing_secret(self) -> str:
        """Return the present signing secret."""
        answer = await asyncio.to_thread(self.secrets.get_secret_value, SecretId="SigningSecret")
        return str(answer["SecretString"])

    async def rotate_signing_secret(self, secret: str) -> None:
        """Put a new version of it."""
        await asyncio.to_thread(self.secrets.put_secret_value, SecretId="SigningSecret", SecretString=secret)

    async def send_copy(self, topic: str, message: Message, secret: str) -> int:
        """Call the webhook for a message, as the relay does, signed and of this moment; return its status."""
        fields = {
            "cache": self._facts.cache,
            "topic": topic,
            "event_timestamp": message.published_at,
            "publish_timestamp": epoch_milliseconds(),
            "topic_sequence_number": message.sequence_number,
            "token_id": message.publisher_id,
            "text": message.value,
            "topic_sequence_page": message.sequence_page,
        }
        body = json.dumps(fields).encode()
        headers = {"Content-Type": "application/json", SIGNATURE_HEADER: sign(body, secret)}
        async with self._session.post(self._facts.webhook_url, data=body, headers=headers) as response:
            return response.status

    async def clear_faults(self) -> None:
        """End what a fault that broke off may have left."""
        await self.momento("/unblock")
        await self.momento("/clear-faults")
        await self.set_spill_tries(SPILL_TRIES)

    # boto3, which blocks
    def _count(self, queue_url: str) -> int:
        names = ("", "NotVisible", "Delayed")
        answer = self.sqs.get_queue_attributes(QueueUrl=queue_url, AttributeNames=["All"])
        return sum(int(answer["Attributes"][f"ApproximateNumberOfMessages{name}"]) for name in names)

    def _take(self, queue_url: str) -> list[dict[str, Any]]:
        """Take all messages out of a queue; return their bodies."""
        bodies = []
        while messages := self.sqs.receive_message(QueueUrl=queue_url, MaxNumberOfMessages=10).get(
            "Messages"
        ):
            for message in messages:
                bodies.append(json.loads(message["Body"]))
                self.sqs.delete_message(QueueUrl=queue_url, ReceiptHandle=message["ReceiptHandle"])
        return bodies

    async def _arn(self, queue_url: str) -> str:
        answer = await asyncio.to_thread(
            self.sqs.get_queue_attributes, QueueUrl=queue_url, AttributeNames=["QueueArn"]
        )
        return str(answer["Attributes"]["QueueArn"])
