"""Each function's handler in this process, with a real Momento and real AWS services of its own behind it."""

from __future__ import annotations

import asyncio
import gc
import importlib
import itertools
import json
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import ModuleType
from typing import Any, Literal
from urllib.parse import urlencode

import boto3
import grpc
import pytest
from momento import CacheClient, Configurations, CredentialProvider
from momento.responses import CacheListFetch
from momento_wire_types import cacheclient_pb2 as cache
from momento_wire_types import cacheclient_pb2_grpc as cache_service
from momento_wire_types import cachepubsub_pb2 as pubsub
from momento_wire_types import cachepubsub_pb2_grpc as pubsub_service
from moto.server import ThreadedMotoServer

from common.webhook_signature import SIGNATURE_HEADER, sign
from local.momento.server import MomentoServer, MomentoServerConfig

EVENTS = Path(__file__).parents[1] / "events"
SOURCE = Path(__file__).parents[1] / "src"
CACHE = "course-comments"
TOPIC = "comment"
TIMEOUTS = {"token_vendor": 10.0, "publisher": 30.0, "webhook": 5.0}
SIGNING_SECRET = "the-signing-secret"


class Momento:
    """A Momento on a thread of its own, so that the functions may block."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever)
        self._thread.start()
        self.server = MomentoServer(MomentoServerConfig(caches=[CACHE]))
        self._run(self.server.start())

    def stop(self) -> None:
        self._run(self.server.stop())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()

    def admin(self, path: str, **query: str | int) -> None:
        """Calls the test admin."""
        urllib.request.urlopen(f"{self.server.admin_url}{path}?{urlencode(query)}").close()  # noqa: S310

    def credentials(self, auth_token: str | None = None) -> CredentialProvider:
        """Credentials of a token, or of the API key."""
        token = (
            self.server.api_key
            if auth_token is None
            else CredentialProvider.from_disposable_token(auth_token).auth_token
        )
        host = self.server.host
        return CredentialProvider(token, host, host, host, self.server.port)

    def cache_client(self, auth_token: str | None = None) -> CacheClient:
        return CacheClient(Configurations.Laptop.latest(), self.credentials(auth_token), timedelta(minutes=1))

    def entries(self, course_id: str) -> list[dict[str, Any]]:
        """The stored comments of a course, newest first."""
        with self.cache_client() as client:
            response = client.list_fetch(CACHE, course_id)
            return (
                [json.loads(value) for value in response.value_list_string]
                if isinstance(response, CacheListFetch.Hit)
                else []
            )

    def remaining_ttl_seconds(self, key: str) -> float:
        with grpc.insecure_channel(f"{self.server.host}:{self.server.port}") as channel:
            response = cache_service.ScsStub(channel).ItemGetTtl(
                cache._ItemGetTtlRequest(cache_key=key.encode()),
                metadata=[("authorization", self.server.api_key), ("cache", CACHE)],
            )
        return response.found.remaining_ttl_millis / 1000

    def subscribe(self, auth_token: str | None = None, topic: str = TOPIC) -> Subscription:
        """Subscribe to what is published from now on: no message of an earlier test is held any more."""
        query = urlencode({"cache": CACHE, "topic": topic})
        urllib.request.urlopen(f"{self.server.admin_url}/reset-topic?{query}").close()  # noqa: S310
        return Subscription(self.credentials(auth_token), topic)

    def _run(self, work: Any) -> Any:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(timeout=30)


class Subscription:
    """A subscription on the wire, which (unlike the SDK's) shows who published."""

    def __init__(self, credentials: CredentialProvider, topic: str) -> None:
        self._channel = grpc.insecure_channel(f"{credentials.cache_endpoint}:{credentials.port}")
        self._items = pubsub_service.PubsubStub(self._channel).Subscribe(
            pubsub._SubscriptionRequest(cache_name=CACHE, topic=topic),
            metadata=[("authorization", credentials.auth_token)],
            timeout=60,
        )
        assert next(self._items).WhichOneof("kind") == "heartbeat"

    def __enter__(self) -> Subscription:
        return self

    def __exit__(self, *_: object) -> None:
        self._channel.close()

    def next(self) -> tuple[str, str]:
        """The next message: its publisher's id and its text."""
        for item in self._items:
            if item.WhichOneof("kind") == "item":
                return item.item.publisher_id, item.item.value.text
        raise AssertionError("the subscription ended")


class AwsProxy:
    """An AWS service of which some operations fail, or never answer, or do what is asked and say nothing."""

    def __init__(self, endpoint_url: str, **troubles: Literal["fail", "hang", "lose"]) -> None:
        """`troubles` are by operation, as `PutItem`, or by the version of a secret, as `AWSPREVIOUS`.

        "lose" closes the connection after the work is done. That it does once; the others last until they are
        taken out of `troubles`.
        """
        self.troubles = troubles
        self.calls: list[tuple[str, dict[str, Any]]] = []
        """Each call's operation and parameters."""
        self.last_call_at = 0.0
        """When the last of them came, in seconds of `time.monotonic`."""
        self._stopping = threading.Event()
        proxy = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                operation = self.headers["X-Amz-Target"].rpartition(".")[2]
                parameters = json.loads(body)
                proxy.last_call_at = time.monotonic()
                proxy.calls.append((operation, parameters))
                trouble = proxy.troubles.get(parameters.get("VersionStage", operation))
                if trouble == "fail":
                    self.send_error(500)
                    return
                if trouble == "hang":
                    proxy._stopping.wait(30)
                    return
                request = urllib.request.Request(endpoint_url, body, dict(self.headers))  # noqa: S310
                try:
                    response = urllib.request.urlopen(request)  # noqa: S310
                except urllib.error.HTTPError as error:
                    response = error
                with response:
                    if proxy.troubles.pop(operation, None) == "lose":
                        return
                    self.send_response(response.status)
                    for name in ("Content-Type", "x-amzn-RequestId"):
                        if response.headers[name]:
                            self.send_header(name, response.headers[name])
                    self.end_headers()
                    self.wfile.write(response.read())

            def log_message(self, *_: object) -> None:
                """Requests are not logged."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}"

    def __enter__(self) -> AwsProxy:
        threading.Thread(target=self._server.serve_forever).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopping.set()
        self._server.shutdown()
        self._server.server_close()


@dataclass
class Context:
    """What Lambda tells a function of its invocation."""

    timeout: float
    function_name: str = "function"
    memory_limit_in_mb: int = 512
    invoked_function_arn: str = "arn:aws:lambda:us-east-1:123456789012:function:function"
    aws_request_id: str = "request"
    started: float = field(default_factory=time.monotonic)

    def get_remaining_time_in_millis(self) -> int:
        return int((self.started + self.timeout - time.monotonic()) * 1000)


@dataclass(frozen=True)
class Function:
    """A function's handler, as loaded in a fresh process."""

    module: ModuleType
    timeout: float
    """Seconds, as the template has it."""

    def __call__(
        self, event: Any, timeout: float | None = None, request_id: str = "request"
    ) -> dict[str, Any]:
        context = Context(timeout or self.timeout, aws_request_id=request_id)
        answer: dict[str, Any] = self.module.lambda_handler(event, context)
        return answer


@pytest.fixture(scope="session")
def momento() -> Iterator[Momento]:
    server = Momento()
    yield server
    server.stop()


@pytest.fixture(scope="session")
def aws_endpoint() -> Iterator[str]:
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


@pytest.fixture(scope="session")
def environment(momento: Momento, aws_endpoint: str) -> Iterator[dict[str, str]]:
    """The environment of the functions, and the secrets, the table and the queue that it names.

    What AWS's SDK and Powertools read again and again is set; the rest is for who starts a function.
    """
    values = {
        "AWS_ENDPOINT_URL": aws_endpoint,
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_ACCESS_KEY_ID": "local",
        "AWS_SECRET_ACCESS_KEY": "local",
        "POWERTOOLS_SERVICE_NAME": "test",
        "POWERTOOLS_METRICS_NAMESPACE": "test",
        "POWERTOOLS_PARAMETERS_MAX_AGE": "300",
        "CACHE_NAME": CACHE,
        "TOPICS": TOPIC,
        "MOMENTO_API_KEY_SECRET": "api-key",
        "MOMENTO_ENDPOINT": "momento.example.com",
        "MOMENTO_LOCAL": f"{momento.server.host}:{momento.server.port}",
        "WEBHOOK_SIGNING_SECRET": "signing-secret",
        "REPLAY_WINDOW_SECONDS": "60",
        "IDEMPOTENCY_TABLE": "idempotency",
        "IDEMPOTENCY_TTL_SECONDS": "3600",
        "SPILL_QUEUE_URL": f"{aws_endpoint}/123456789012/spill",
        "SPILL_RETRY_SECONDS": "1",
        "COMMENT_TTL_SECONDS": "600",
        "COMMENT_LIST_LENGTH": "3",
        "COURSE_IDS_CLAIM": "",
        "TOKEN_ID_CLAIM": "sub",
        "TOKEN_LIFETIME_MINUTES": "30",
    }
    with pytest.MonkeyPatch.context() as patch:
        for name, value in values.items():
            if name.startswith(("AWS_", "POWERTOOLS_")):
                patch.setenv(name, value)
        _create_resources(values, momento.server.api_key)
        yield values


def _create_resources(values: dict[str, str], api_key: str) -> None:
    secrets = boto3.client("secretsmanager")
    secrets.create_secret(Name=values["MOMENTO_API_KEY_SECRET"], SecretString=api_key)
    secrets.create_secret(Name=values["WEBHOOK_SIGNING_SECRET"], SecretString=SIGNING_SECRET)
    boto3.client("sqs").create_queue(QueueName=values["SPILL_QUEUE_URL"].rpartition("/")[2])
    boto3.client("dynamodb").create_table(
        TableName=values["IDEMPOTENCY_TABLE"],
        BillingMode="PAY_PER_REQUEST",
        AttributeDefinitions=[{"AttributeName": "id", "AttributeType": "S"}],
        KeySchema=[{"AttributeName": "id", "KeyType": "HASH"}],
    )


@pytest.fixture(scope="session")
def load(environment: dict[str, str]) -> Callable[..., Function]:
    """Loads a function's handler as a new process would, with the environment changed as given."""

    def load(name: str, **changes: str) -> Function:
        with pytest.MonkeyPatch.context() as patch:
            for variable, value in (environment | changes).items():
                patch.setenv(variable, value)
            for module in loaded_from_source():
                patch.delitem(sys.modules, module)
            try:
                return Function(importlib.import_module(f"{name}.handler"), TIMEOUTS[name])
            finally:  # Here, what was loaded does not stay.
                gc.unfreeze()
                gc.enable()

    return load


def loaded_from_source() -> list[str]:
    """The functions' modules that this process has loaded."""
    return [
        name
        for name, module in sys.modules.items()
        if str(getattr(module, "__file__", None) or "").startswith(str(SOURCE))
    ]


_sequence_numbers = itertools.count(1_000_000)


def delivery(
    topic: str, content: Mapping[str, Any], publisher: str = "taylor", **fields: Any
) -> dict[str, Any]:
    """A signed request to the webhook, as the relay makes it for a message that was just published."""
    now = time.time_ns() // 1_000_000
    message = {
        "cache": CACHE,
        "topic": topic,
        "event_timestamp": now,
        "publish_timestamp": now,
        "topic_sequence_number": next(_sequence_numbers),
        "token_id": publisher,
        "text": json.dumps(content),
    } | fields
    body = json.dumps(message)
    return {
        "headers": {SIGNATURE_HEADER: sign(body.encode(), SIGNING_SECRET)},
        "requestContext": {"requestId": "request"},
        "body": body,
        "isBase64Encoded": False,
    }


def sample_event(path: str) -> dict[str, Any]:
    """One of the sample events under events/."""
    event: dict[str, Any] = json.loads((EVENTS / path).read_text())
    return event


def sample_paths(folder: str) -> list[str]:
    """The sample events of a function, relative to events/."""
    return [f"{folder}/{path.name}" for path in sorted((EVENTS / folder).glob("*.json"))]
