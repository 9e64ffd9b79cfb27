"""A topic at Momento whose streams bring what a test tells them."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import grpc
from momento_wire_types import cachepubsub_pb2 as pubsub
from momento_wire_types import cachepubsub_pb2_grpc as pubsub_service

from tests.support.relay_site import Site


class ScriptedTopic(pubsub_service.PubsubServicer):
    """A topic whose streams bring what they are told, and then nothing more."""

    def __init__(self, *streams: list[pubsub._SubscriptionItem], ends: bool = False) -> None:
        """With `ends`, each stream ends after what it brings."""
        self._ends = ends
        self.requests: list[pubsub._SubscriptionRequest] = []
        self._streams = iter(streams)

    def Subscribe(self, request: Any, context: grpc.ServicerContext) -> Iterator[pubsub._SubscriptionItem]:
        self.requests.append(request)
        over = threading.Event()
        context.add_callback(over.set)
        yield heartbeat()
        yield from next(self._streams, [])
        if not self._ends:
            over.wait(20)

    def serve(self, site: Site) -> grpc.Server:
        """Take the place of the site's Momento."""
        server = grpc.server(ThreadPoolExecutor(4))
        pubsub_service.add_PubsubServicer_to_server(self, server)
        site.environment["MOMENTO_LOCAL"] = f"127.0.0.1:{server.add_insecure_port('127.0.0.1:0')}"
        server.start()
        return server


def heartbeat() -> pubsub._SubscriptionItem:
    return pubsub._SubscriptionItem(heartbeat={})


def item(number: int, page: int = 7) -> pubsub._SubscriptionItem:
    return pubsub._SubscriptionItem(
        item={"topic_sequence_number": number, "sequence_page": page, "value": {"text": f"{page}-{number}"}}
    )
