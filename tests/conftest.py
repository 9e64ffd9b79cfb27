"""The functions in this process, with the Momento and the AWS services behind them."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterable, Iterator
from wsgiref.types import StartResponse, WSGIEnvironment

import boto3
import pytest
from moto.moto_server.werkzeug_app import (
    DomainDispatcherApplication,
    MotoRequestHandler,
    create_backend_app,
)

from local.aws.translation import Translation
from local.poll import Place, open_demo_poll
from tests.support.functions import Function, create_resources, load_function
from tests.support.momento import CACHE, TOPIC, Momento
from tests.support.wsgi_service import serve


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers() -> int:
    """Run one worker more than there are processors, because many tests wait for other processes."""
    return (os.cpu_count() or 1) + 1


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put the tests of the page first: they take long, and only the last to end would run at the end."""
    items.sort(key=lambda item: not item.nodeid.startswith("tests/web/"))


@pytest.fixture(scope="session")
def momento() -> Iterator[Momento]:
    server = Momento()
    yield server
    server.stop()


@pytest.fixture(scope="session")
def aws_endpoint() -> Iterator[str]:
    moto = DomainDispatcherApplication(create_backend_app)
    one_at_a_time = threading.Lock()  # In moto, an update and its condition are two steps.

    def application(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        with one_at_a_time:
            answer: Iterable[bytes] = moto(environ, start_response)
            return answer

    with serve(application, MotoRequestHandler) as url:
        yield url


@pytest.fixture(scope="session")
def environment(momento: Momento, aws_endpoint: str) -> Iterator[dict[str, str]]:
    """Return the functions' environment. The secrets, the table and the queue that it names exist.

    What AWS's SDK and Powertools read at every call is set in this process. `load` sets the rest.
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
        "MOMENTO_LOCAL": momento.address,
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
        create_resources(values, momento.server.api_key)
        yield values


@pytest.fixture(scope="session")
def load(environment: dict[str, str]) -> Callable[..., Function]:
    """Load a function's handler as a new process does, with the environment changed as given."""

    def load(name: str, **changes: str) -> Function:
        return load_function(name, environment | changes)

    return load


@pytest.fixture(scope="session")
def all_topics(environment: dict[str, str], momento: Momento) -> Iterator[dict[str, str]]:
    """Return the environment that switches all topics on: `load("webhook", **all_topics)`."""
    bus = "bus-of-all-topics"
    boto3.client("events").create_event_bus(Name=bus)
    open_demo_poll(Place(momento.credentials(), CACHE))
    with (
        serve(Translation(lambda _environ, _start_response: [])) as url,
        pytest.MonkeyPatch.context() as patch,
    ):
        patch.setenv("AWS_ENDPOINT_URL_TRANSLATE", url)
        yield {"TOPICS": "comment,poll,chat,event", "CHAT_LANGUAGES": "en,de,es", "EVENT_BUS_NAME": bus}
