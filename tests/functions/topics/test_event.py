"""Events: what arrives on the bus, and what happens when EventBridge does not take one."""

from __future__ import annotations

import importlib
import json
import uuid
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any
from wsgiref.types import StartResponse, WSGIEnvironment

import boto3
import grpc
import pytest
from momento import TopicClient, TopicConfigurations
from momento.responses import TopicPublish

from local.aws.event_queue import create_event_queue
from tests.support.aws_proxy import AwsProxy
from tests.support.deliveries import Deliveries
from tests.support.functions import Function
from tests.support.momento import CACHE, Momento
from tests.support.token_requests import token_request
from tests.support.wsgi_service import serve

BUS = "the-bus"


@pytest.fixture(scope="module")
def queue_url(environment: dict[str, str]) -> str:
    """Return a queue that gets every event of the bus."""
    events = boto3.client("events")
    events.create_event_bus(Name=BUS)
    return create_event_queue(events, boto3.client("sqs"), BUS)


@dataclass
class Proxied:
    deliveries: Deliveries
    events: AwsProxy


@pytest.fixture(scope="module")
def proxied(
    load: Callable[..., Function], environment: dict[str, str], aws_endpoint: str, queue_url: str
) -> Iterator[Proxied]:
    with AwsProxy(aws_endpoint) as proxy, pytest.MonkeyPatch.context() as patch:
        patch.setenv("AWS_ENDPOINT_URL_EVENTBRIDGE", proxy.url)
        webhook = load("webhook", TOPICS="comment,event", EVENT_BUS_NAME=BUS)
        yield Proxied(Deliveries(webhook, "event", environment["SPILL_QUEUE_URL"]), proxy)


@pytest.fixture
def events(proxied: Proxied) -> Deliveries:
    proxied.events.troubles.clear()
    proxied.events.calls.clear()
    return proxied.deliveries


@pytest.fixture
def order() -> str:
    return f"order {uuid.uuid4()}"


def arrived(queue_url: str, order: str) -> list[dict[str, Any]]:
    """Return the events of an order that have come into the queue."""
    sqs = boto3.client("sqs")
    events: list[dict[str, Any]] = []
    while messages := sqs.receive_message(QueueUrl=queue_url, MaxNumberOfMessages=10).get("Messages"):
        for message in messages:
            sqs.delete_message(QueueUrl=queue_url, ReceiptHandle=message["ReceiptHandle"])
            events.append(json.loads(message["Body"]))
    return [event for event in events if event["detail"]["detail"].get("order") == order]


def test_an_event_arrives_with_its_publisher_and_its_id(
    events: Deliveries, queue_url: str, order: str
) -> None:
    content = {
        "type": "order.placed",
        "detail": {"order": order, "name": "Zo\u00eb \U0001f600"},
        "id": "click 1",
    }
    assert events.send(content, publisher=order, published_at=5000) == (200, "stored")
    [event] = arrived(queue_url, order)
    assert (event["source"], event["detail-type"]) == ("realtime", "order.placed")
    assert event["detail"] == {
        "type": "order.placed",
        "detail": {"order": order, "name": "Zo\u00eb \U0001f600"},
        "userID": order,
        "id": "click 1",
        "publishedAt": 5000,
    }


def test_a_message_that_is_delivered_again_is_sent_once(
    events: Deliveries, queue_url: str, order: str
) -> None:
    request = events.request({"type": "order", "detail": {"order": order}})
    assert events.deliver(request) == (200, "stored")
    assert events.deliver(request) == (200, "duplicate")
    assert len(arrived(queue_url, order)) == 1


@pytest.mark.parametrize("trouble", ["fail", "hang"])
def test_an_event_that_eventbridge_refuses_is_tried_again(
    trouble: Any,
    events: Deliveries,
    proxied: Proxied,
    queue_url: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    order = f"order {uuid.uuid4()}"
    proxied.events.troubles["PutEvents"] = trouble
    assert events.send({"type": "order", "detail": {"order": order}}) == (202, "queued")
    assert [operation for operation, _ in proxied.events.calls] == ["PutEvents"] * 2
    assert arrived(queue_url, order) == []
    assert "MessagesActedOnAgain" not in capsys.readouterr().out
    proxied.events.troubles.clear()
    assert events.retry(events.spilled(order))
    assert '"MessagesActedOnAgain":[1.0]' in capsys.readouterr().out
    assert [event["detail"]["detail"]["order"] for event in arrived(queue_url, order)] == [order]


def test_an_event_whose_entry_failed_is_tried_again_and_the_log_says_why(
    load: Callable[..., Function],
    environment: dict[str, str],
    order: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """EventBridge answers 200 then, and says in the entry what is wrong."""
    answers = [{"FailedEntryCount": 0, "Entries": [{"EventId": "1"}]}]
    answers.append({"FailedEntryCount": 1, "Entries": [{"ErrorCode": "ThrottlingException"}]})

    def bus(_environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        start_response("200 OK", [("Content-Type", "application/x-amz-json-1.1")])
        return [json.dumps(answers.pop()).encode()]

    with serve(bus) as url, pytest.MonkeyPatch.context() as patch:
        patch.setenv("AWS_ENDPOINT_URL_EVENTBRIDGE", url)
        logger_of_its_own = {"POWERTOOLS_SERVICE_NAME": order}
        webhook = load("webhook", TOPICS="comment,event", EVENT_BUS_NAME=BUS, **logger_of_its_own)
        deliveries = Deliveries(webhook, "event", environment["SPILL_QUEUE_URL"])
        assert deliveries.send({"type": "order", "detail": {"order": order}}) == (202, "queued")
        assert '"error":"ThrottlingException"' in capsys.readouterr().out
        assert deliveries.retry(deliveries.spilled(order))
    assert answers == []


def test_a_doubled_event_has_the_same_publisher_and_id(
    events: Deliveries, proxied: Proxied, queue_url: str, order: str
) -> None:
    proxied.events.troubles["PutEvents"] = "lose"  # EventBridge has taken it, and the answer is lost.
    assert events.send({"type": "order", "detail": {"order": order}}) == (200, "stored")
    first, second = (event["detail"] for event in arrived(queue_url, order))
    assert first == second


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"type": ""}, "type must be a string of 1 to 128 printable characters"),
        ({"type": "x" * 129}, "type must be a string of 1 to 128 printable characters"),
        ({"type": "a\nb"}, "type must be a string of 1 to 128 printable characters"),
        ({"type": None}, "type must be a string of 1 to 128 printable characters"),
        ({"detail": "text"}, "detail must be an object"),
        ({"detail": None}, "detail must be an object"),
        ({"detail": {"name": "\ud83d"}}, "a character is incomplete"),
        ({"detail": {"name": "x" * 250_000}}, "detail must have 250000 bytes at most"),
    ],
)
def test_refuses_messages_that_are_not_events(
    fields: dict[str, Any], reason: str, events: Deliveries, proxied: Proxied
) -> None:
    status, answer = events.send({"type": "order", "detail": {}} | fields)
    assert status == 400
    assert reason in answer
    assert proxied.events.calls == []


def test_accepts_the_longest_type_and_the_largest_detail(events: Deliveries, proxied: Proxied) -> None:
    type_ = "x" * 128
    detail = {"": "x" * (250_000 - 128 - len('["", {"": ""}]'))}
    parse = importlib.import_module("topics.event").Events({"EVENT_BUS_NAME": BUS}).parse
    assert parse({"type": type_, "detail": detail}).detail == detail
    with pytest.raises(ValueError, match="250000 bytes at most"):
        parse({"type": type_, "detail": {"": detail[""] + "x"}})
    assert events.send({"type": type_, "detail": {}}) == (200, "stored")
    assert len(proxied.events.calls) == 1


def test_refuses_numbers_that_json_does_not_have(events: Deliveries) -> None:
    text = '{"type": "order", "detail": {"price": 1e999}}'
    assert events.send(text) == (400, "Bad request: not valid JSON")


def test_users_may_publish_events_but_not_subscribe_to_them(
    momento: Momento, load: Callable[..., Function]
) -> None:
    vendor = load("token_vendor", TOPICS="comment,event", EVENT_BUS_NAME=BUS)
    assert vendor(token_request("taylor", {"reads": {"event": ["1"]}}))["statusCode"] == 400
    auth_token = json.loads(vendor(token_request("taylor"))["body"])["authToken"]
    with TopicClient(TopicConfigurations.Default.latest(), momento.credentials(auth_token)) as client:
        assert isinstance(client.publish(CACHE, "event", "{}"), TopicPublish.Success)
    with pytest.raises(grpc.RpcError) as error:
        momento.subscribe(auth_token, "event")
    assert error.value.code() is grpc.StatusCode.PERMISSION_DENIED
