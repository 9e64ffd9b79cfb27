"""All topics that ship with the project, with what they act on, for functions that have to know them all."""

from __future__ import annotations

from collections.abc import Iterator

import boto3
import pytest

from local.aws.translation import Translation
from local.poll import Place, open_demo_poll
from tests.function_harness import CACHE, Momento
from tests.integration.topics.deliveries import serve


@pytest.fixture(scope="session")
def all_topics(environment: dict[str, str], momento: Momento) -> Iterator[dict[str, str]]:
    """The environment that switches all topics on: `load("webhook", **all_topics)`."""
    bus = "bus-of-all-topics"
    boto3.client("events").create_event_bus(Name=bus)
    open_demo_poll(Place(momento.credentials(), CACHE))
    with (
        serve(Translation(lambda _environ, _start_response: [])) as url,
        pytest.MonkeyPatch.context() as patch,
    ):
        patch.setenv("AWS_ENDPOINT_URL_TRANSLATE", url)
        yield {"TOPICS": "comment,poll,chat,event", "CHAT_LANGUAGES": "en,de,es", "EVENT_BUS_NAME": bus}
