"""A relay between a real Momento and an HTTP server in the webhook's place, with real AWS services."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterator
from uuid import uuid4

import boto3
import pytest

from local.momento.server import Timings
from tests.support.aws_proxy import AwsProxy
from tests.support.functions import loaded_from_source
from tests.support.metric_values import Metrics
from tests.support.momento import CACHE, TOPIC, Momento
from tests.support.relay_site import Site
from tests.support.webhook_server import Webhook


@pytest.fixture(scope="module")
def aws_proxy(aws_endpoint: str) -> Iterator[AwsProxy]:
    with AwsProxy(aws_endpoint) as proxy:
        yield proxy


@pytest.fixture(scope="module")
def aws(aws_endpoint: str, aws_proxy: AwsProxy) -> Iterator[dict[str, str]]:
    """Set the environment of the AWS services, and load the relay as in a new process."""
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
    """Return a Momento of the test's own, with frequent heartbeats."""
    momento = Momento(Timings(heartbeat=0.2))
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
    dead_letters, spill_queue = (
        boto3.client("sqs").create_queue(QueueName=f"{name}-{purpose}")["QueueUrl"]
        for purpose in ("dead", "spill")
    )
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
            "DEAD_LETTER_QUEUE_URL": dead_letters,
            "SPILL_QUEUE_URL": spill_queue,
            "RELAY_TABLE": name,
        },
    )
    yield site
    aws_proxy.troubles.clear()
    site.clean_up()
