"""A relay between a real Momento and an HTTP server in the webhook's place, with real AWS services."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import importlib
import json
import math
import os
import socket
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import ModuleType
from typing import Any
from urllib.parse import urlencode
from uuid import uuid4

import boto3
import grpc
import pytest
from momento import AuthClient, Configurations, CredentialProvider
from momento.auth.access_control.disposable_token_scope import DisposableTokenProps
from momento.auth.access_control.disposable_token_scopes import DisposableTokenScopes
from momento.auth.access_control.permission_scope import AllTopics
from momento.responses import GenerateDisposableToken
from momento.utilities import ExpiresIn
from momento_wire_types import cachepubsub_pb2 as pubsub
from momento_wire_types import cachepubsub_pb2_grpc as pubsub_service

from local.momento.server import MomentoServer, MomentoServerConfig, Timings
from tests.function_harness import SOURCE, AwsProxy, loaded_from_source

CACHE = "course-comments"
TOPIC = "comment"
SECONDS = 20
"""How long anything may take."""


class Momento:
    """A Momento on a thread of its own, with frequent heartbeats."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever)
        self._thread.start()
        self.server = MomentoServer(MomentoServerConfig(caches=[CACHE]), Timings(heartbeat=0.2))
        self._run(self.server.start())
        self._channel = grpc.insecure_channel(
            self.address,
            options=[("grpc.max_reconnect_backoff_ms", 200), ("grpc.initial_reconnect_backoff_ms", 100)],
        )
        self._tokens = {"": self.server.api_key}

    @property
    def address(self) -> str:
        return f"{self.server.host}:{self.server.port}"

    def stop(self) -> None:
        self._channel.close()
        self._run(self.server.stop())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def admin(self, path: str, **query: str | int) -> None:
        """Calls the test admin."""
        urllib.request.urlopen(f"{self.server.admin_url}{path}?{urlencode(query)}").close()  # noqa: S310

    def reset_topic(self) -> None:
        self.admin("/reset-topic", cache=CACHE, topic=TOPIC)

    def publish(self, *texts: str | bytes, publisher: str = "taylor", topic: str = TOPIC) -> None:
        """Publish with a token that carries the publisher's id, or with the API key if that is empty."""
        stub = pubsub_service.PubsubStub(self._channel)
        for text in texts:
            value = {"text": text} if isinstance(text, str) else {"binary": text}
            stub.Publish(
                pubsub._PublishRequest(cache_name=CACHE, topic=topic, value=value),
                metadata=[("authorization", self._token(publisher)), ("cache", CACHE)],
                wait_for_ready=True,
                timeout=SECONDS,
            )

    def subscribers(self) -> int:
        """How many read the topic now."""
        return self.server._topics.get(CACHE, TOPIC).subscribers

    def _token(self, publisher: str) -> str:
        if publisher not in self._tokens:
            host = self.server.host
            account = CredentialProvider(self.server.api_key, host, host, host, self.server.port)
            with AuthClient(Configurations.Laptop.latest(), account) as client:
                token = client.generate_disposable_token(
                    DisposableTokenScopes.topic_publish_only(CACHE, AllTopics()),
                    ExpiresIn.minutes(5),
                    DisposableTokenProps(token_id=publisher),
                )
            assert isinstance(token, GenerateDisposableToken.Success)
            credentials = CredentialProvider.from_disposable_token(token.auth_token)
            self._tokens[publisher] = credentials.auth_token
        return self._tokens[publisher]

    def _run(self, work: Any) -> Any:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(timeout=SECONDS)


@dataclass(frozen=True)
class Reply:
    """An answer with more than a status."""

    status: int
    headers: dict[str, str]
    body: bytes = b""


@dataclass
class Request:
    """What a webhook was sent, over which connection, and what it answered."""

    body: bytes
    headers: dict[str, str]
    connection: tuple[str, int]
    status: int = 0

    @cached_property
    def fields(self) -> dict[str, Any]:
        fields: dict[str, Any] = json.loads(self.body)
        return fields

    @property
    def text(self) -> str:
        text: str = self.fields["text"]
        return text


class Webhook:
    """An HTTP server that answers as it is told, and remembers."""

    def __init__(self) -> None:
        self.requests: list[Request] = []
        self.answer: Callable[[Request], int | Reply] = lambda _request: 200
        """Gives the status or reply for a request, or raises a `ConnectionError` to break the connection."""
        self.clock_error = 0.0
        """Seconds that its clock is ahead."""
        self._changed = threading.Condition()
        webhook = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                length = int(self.headers["Content-Length"])
                body = self.rfile.read(length)
                if len(body) < length:
                    # The sender was killed.
                    self.close_connection = True
                    return
                headers = {name.lower(): value for name, value in self.headers.items()}
                request = Request(body, headers, self.client_address)
                try:
                    answer = webhook.answer(request)
                except ConnectionError:
                    self.close_connection = True
                    return
                reply = Reply(answer, {"Location": "/"}) if isinstance(answer, int) else answer
                request.status = reply.status
                webhook._note(request)
                self.send_response(reply.status)
                for name, value in reply.headers.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(reply.body)))
                self.end_headers()
                self.wfile.write(reply.body)

            def date_time_string(self, timestamp: float | None = None) -> str:
                return super().date_time_string(int(time.time() + webhook.clock_error))

            def log_message(self, *_: object) -> None:
                """Requests are not logged."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_port}/"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,))
        self._thread.start()

    def stop(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    @property
    def taken(self) -> list[str]:
        """The texts that it has taken, in order."""
        return [request.text for request in self.requests if 200 <= request.status < 300]

    def wait_for(self, is_so: Callable[[], object]) -> None:
        """Waits until a request makes it so."""
        with self._changed:
            assert self._changed.wait_for(is_so, timeout=SECONDS), [
                request.status for request in self.requests
            ]

    def wait_for_taken(self, *texts: str) -> None:
        """Waits until it has taken as many, and sees that it was these, in this order."""
        self.wait_for(lambda: len(self.taken) >= len(texts))
        assert self.taken == list(texts)

    def _note(self, request: Request) -> None:
        with self._changed:
            self.requests.append(request)
            self._changed.notify_all()


class Running:
    """A relay on a thread."""

    def __init__(self, relay: Callable[..., dict[str, Any]], settings: Any, seconds: float) -> None:
        self._stop = threading.Event()
        self._outcome: Any = None
        ends_at = time.monotonic() + seconds
        self._thread = threading.Thread(target=self._run, args=(relay, settings, ends_at))
        self._thread.start()

    def is_running(self) -> bool:
        return self._thread.is_alive()

    def stop(self) -> dict[str, Any]:
        """Stops it, and returns what it answers."""
        self._stop.set()
        return self.result()

    def result(self) -> dict[str, Any]:
        """Waits until it ends, and returns what it answers."""
        self._thread.join(SECONDS)
        assert not self._thread.is_alive()
        if isinstance(self._outcome, Exception):
            raise self._outcome
        outcome: dict[str, Any] = self._outcome
        return outcome

    def _run(self, relay: Callable[..., dict[str, Any]], settings: Any, ends_at: float) -> None:
        try:
            self._outcome = relay(settings, self._stop, ends_at)
        except Exception as error:  # noqa: BLE001 - raised where it is asked for
            self._outcome = error


class Site:
    """One relay's surroundings, which nothing else uses."""

    def __init__(
        self, momento: Momento, webhook: Webhook, aws_proxy: AwsProxy, environment: dict[str, str]
    ) -> None:
        self.momento = momento
        self.aws = aws_proxy
        self.webhook = webhook
        self.environment = environment
        self._settings = importlib.import_module("relay.settings")
        self._run = importlib.import_module("relay.run")
        self._running: list[Running] = []
        self._processes: list[subprocess.Popen[str]] = []

    def settings(self, **durations: float) -> Any:
        """Return the settings that the environment gives; the relay is quicker than usual."""
        quick = {"lease": 2.0, "renewal": 0.1, "checkpoint": 0.05, "poll": 0.05, "report": 0.1, **durations}
        settings = self._settings.Settings.from_environ(self.environment)
        return dataclasses.replace(settings, durations=self._settings.Durations(**quick))

    def start(self, seconds: float = math.inf, **durations: float) -> Running:
        """Start a relay on a thread, which ends after `seconds`; it is quicker than usual."""
        self._running.append(Running(self._run.relay, self.settings(**durations), seconds))
        return self._running[-1]

    def start_process(self, **changes: str) -> subprocess.Popen[str]:
        """Starts a relay as a process."""
        self._processes.append(
            subprocess.Popen(
                [sys.executable, "-m", "relay"],
                cwd=SOURCE,
                env={**os.environ, **self.environment, **changes},
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
            )
        )
        return self._processes[-1]

    def handler(self, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
        """The function's handler, with this environment."""
        for name, value in self.environment.items():
            monkeypatch.setenv(name, value)
        monkeypatch.delitem(sys.modules, "relay.handler", raising=False)
        return importlib.import_module("relay.handler")

    def shut_aws(self) -> None:
        """Has DynamoDB and SQS answer 500 to all that the relay asks, until `open_aws`."""
        self.aws.troubles.update(UpdateItem="fail", SendMessage="fail")

    def open_aws(self) -> None:
        self.aws.troubles.clear()

    def put_secret(self, name: str, value: str) -> None:
        boto3.client("secretsmanager").put_secret_value(SecretId=self.environment[name], SecretString=value)

    def dead_letters(self) -> list[dict[str, Any]]:
        """The bodies in the dead-letter queue, each once."""
        answer = boto3.client("sqs").receive_message(
            QueueUrl=self.environment["DEAD_LETTER_QUEUE_URL"], MaxNumberOfMessages=10
        )
        return [json.loads(message["Body"]) for message in answer.get("Messages", [])]

    def item(self) -> dict[str, Any]:
        """The attributes of the relay's item in DynamoDB, none where there is no item yet."""
        answer = boto3.client("dynamodb").scan(TableName=self.environment["RELAY_TABLE"], ConsistentRead=True)
        return {name: next(iter(value.values())) for item in answer["Items"] for name, value in item.items()}

    def saved(self, topic: str = TOPIC) -> int | None:
        """Return the sequence number that is saved for a topic, or None if there is none yet."""
        bookmark = self.item().get("bookmarks", {}).get(f"{CACHE}/{topic}")
        return None if bookmark is None else int(bookmark["M"]["number"]["N"])

    def wait_for_saved(self, number: int) -> None:
        """Wait until the relay has saved this sequence number."""
        wait_until(lambda: self.saved() == number)

    def clean_up(self) -> None:
        for process in self._processes:
            process.kill()
            process.communicate()
        for running in self._running:
            running.stop()


class TcpProxy:
    """Passes connections on, until it forgets those that are open: they stay open, and nothing passes."""

    def __init__(self, host: str, port: int) -> None:
        self._target = (host, port)
        self._forgotten = threading.Event()
        self._is_over = threading.Event()
        self._sockets: list[socket.socket] = []
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def forget(self) -> None:
        """Forget the connections that are open, as a load balancer does."""
        self._forgotten.set()
        self._forgotten = threading.Event()

    def stop(self) -> None:
        self._is_over.set()
        for one in (self._listener, *self._sockets):
            one.close()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                server = socket.create_connection(self._target)
                self._sockets += [client, server]
                for ends in ((client, server), (server, client)):
                    threading.Thread(target=self._pump, args=(*ends, self._forgotten), daemon=True).start()

    def _pump(self, source: socket.socket, sink: socket.socket, forgotten: threading.Event) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(65536):
                if forgotten.is_set():
                    self._is_over.wait()
                    return
                sink.sendall(data)
            sink.shutdown(socket.SHUT_WR)


class Metrics:
    """The metrics that relays in this process have written."""

    def __init__(self, capsys: pytest.CaptureFixture[str]) -> None:
        self._capsys = capsys
        self._written = ""

    def __getitem__(self, name: str) -> float:
        """The sum of a metric."""
        return sum(self.values(name))

    def values(self, name: str) -> list[float]:
        """All values of a metric."""
        self._written += self._capsys.readouterr().out
        return metric_values(self._written, name)


def metric_values(written: str, name: str) -> list[float]:
    """All values of a metric in what was written."""
    lines = [json.loads(line) for line in written.splitlines()]
    return [value for line in lines if "_aws" in line for value in line.get(name, [])]


def wait_until(is_so: Callable[[], object]) -> None:
    """Waits until it is so, for what cannot be waited for but by looking again."""
    deadline = time.monotonic() + SECONDS
    while not is_so():
        assert time.monotonic() < deadline
        time.sleep(0.02)


@pytest.fixture(scope="module")
def aws_proxy(aws_endpoint: str) -> Iterator[AwsProxy]:
    with AwsProxy(aws_endpoint) as proxy:
        yield proxy


@pytest.fixture(scope="module")
def aws(aws_endpoint: str, aws_proxy: AwsProxy) -> Iterator[dict[str, str]]:
    """The environment that leads to the AWS services, with the relay loaded as in a fresh process."""
    values = {
        "AWS_ENDPOINT_URL": aws_endpoint,
        "AWS_ENDPOINT_URL_DYNAMODB": aws_proxy.url,
        "AWS_ENDPOINT_URL_SQS": aws_proxy.url,
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_ACCESS_KEY_ID": "local",
        "AWS_SECRET_ACCESS_KEY": "local",
        "POWERTOOLS_SERVICE_NAME": "relay",
        "POWERTOOLS_METRICS_NAMESPACE": "test",
        "POWERTOOLS_PARAMETERS_MAX_AGE": "300",
        "POWERTOOLS_LOG_LEVEL": "DEBUG",
    }
    with pytest.MonkeyPatch.context() as patch:
        for name, value in values.items():
            patch.setenv(name, value)
        for module in loaded_from_source():
            patch.delitem(sys.modules, module)
        importlib.import_module("relay.run")
        yield values
        for module in loaded_from_source():
            del sys.modules[module]


@pytest.fixture
def momento() -> Iterator[Momento]:
    momento = Momento()
    yield momento
    momento.stop()


@pytest.fixture
def metrics(capsys: pytest.CaptureFixture[str]) -> Metrics:
    return Metrics(capsys)


@pytest.fixture
def webhook() -> Iterator[Webhook]:
    webhook = Webhook()
    yield webhook
    webhook.stop()


@pytest.fixture
def site(momento: Momento, webhook: Webhook, aws: dict[str, str], aws_proxy: AwsProxy) -> Iterator[Site]:
    aws_proxy.calls.clear()
    name = uuid4().hex
    queue = boto3.client("sqs").create_queue(QueueName=name)
    boto3.client("dynamodb").create_table(
        TableName=name,
        BillingMode="PAY_PER_REQUEST",
        AttributeDefinitions=[{"AttributeName": "id", "AttributeType": "S"}],
        KeySchema=[{"AttributeName": "id", "KeyType": "HASH"}],
    )
    secrets = boto3.client("secretsmanager")
    secrets.create_secret(Name=f"{name}-api-key", SecretString=momento.server.api_key)
    secrets.create_secret(Name=f"{name}-signing", SecretString="the-signing-secret")
    site = Site(
        momento,
        webhook,
        aws_proxy,
        {
            **aws,
            "CACHE_NAME": CACHE,
            "TOPICS": TOPIC,
            "MOMENTO_API_KEY_SECRET": f"{name}-api-key",
            "MOMENTO_ENDPOINT": "momento.example.com",
            "MOMENTO_LOCAL": momento.address,
            "WEBHOOK_URL": webhook.url,
            "WEBHOOK_SIGNING_SECRET": f"{name}-signing",
            "DEAD_LETTER_QUEUE_URL": queue["QueueUrl"],
            "RELAY_TABLE": name,
        },
    )
    yield site
    aws_proxy.troubles.clear()
    site.clean_up()
