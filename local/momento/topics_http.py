"""Momento's HTTP API for topics, for clients without an SDK: publish, and subscribe with long polling.

| request | answer |
| --- | --- |
| `POST /topics/{cache}/{topic}`, with the message as the body | 204 |
| `GET`, with `?sequence_number=` and `&sequence_page=` | 200 and `{"items": [...]}` once there are items |

The token is the whole `Authorization` header or `token` in the query, but not both. `sequence_number` is the
number of the message that the poll expects next. Without it, or with 0, the poll starts at the latest message
in the history. A poll waits without a limit until there is a message.

Paths, parameters, statuses and the form of items are those of Momento's documentation ("HTTP API Reference
for Momento Topics", docs.momentohq.com). These details are not documented, so they are guesses:

- the body of errors is `{"status", "description"}`;
- binary messages in items are base64, as `{"binary"}`;
- the publisher's token id in items is `publisher_id`, as in the protocol, if there is one;
- bodies of any content type but `application/octet-stream` are text, because the documentation's curl
  examples set no content type.

In the documentation's example of a discontinuity, `new_topic_sequence` is the number of the next message.
Here it is one less, as Momento's SDKs expect it on gRPC.
"""

import asyncio
import base64
from http import HTTPStatus
from typing import Any

import grpc
from aiohttp import web
from momento_wire_types import cachepubsub_pb2 as pb
from momento_wire_types import cachepubsub_pb2_grpc

from local.momento.numbers import parse_number

_PATH = "/topics/{cache}/{topic}"
_SECONDS_FOR_MORE_ITEMS = 0.05
_STATUSES = {
    grpc.StatusCode.INVALID_ARGUMENT: HTTPStatus.BAD_REQUEST,
    grpc.StatusCode.FAILED_PRECONDITION: HTTPStatus.BAD_REQUEST,
    grpc.StatusCode.UNAUTHENTICATED: HTTPStatus.UNAUTHORIZED,
    grpc.StatusCode.PERMISSION_DENIED: HTTPStatus.FORBIDDEN,
    grpc.StatusCode.NOT_FOUND: HTTPStatus.NOT_FOUND,
    grpc.StatusCode.RESOURCE_EXHAUSTED: HTTPStatus.TOO_MANY_REQUESTS,
}


class _RefusedError(Exception):
    """A request that is answered with an error."""

    def __init__(self, status: HTTPStatus, description: str) -> None:
        super().__init__(description)
        self.status = status


class TopicsHttpApi:
    """Pass requests to a gRPC server, which checks permissions and limits."""

    def __init__(self, channel: grpc.aio.Channel) -> None:
        self._pubsub: Any = cachepubsub_pb2_grpc.PubsubStub(channel)

    def routes(self) -> list[web.RouteDef]:
        return [
            web.post(_PATH, self._publish),
            web.get(_PATH, self._subscribe, allow_head=False),
        ]

    async def _publish(self, request: web.Request) -> web.Response:
        try:
            publish = pb._PublishRequest(
                cache_name=request.match_info["cache"],
                topic=request.match_info["topic"],
                value=_value(request.content_type, await request.read()),
            )
            await self._pubsub.Publish(publish, metadata=_metadata(request))
        except (grpc.aio.AioRpcError, _RefusedError) as error:
            return _refusal(error)
        return web.Response(status=204)

    async def _subscribe(self, request: web.Request) -> web.Response:
        try:
            subscription = pb._SubscriptionRequest(
                cache_name=request.match_info["cache"],
                topic=request.match_info["topic"],
                resume_at_topic_sequence_number=_number(request, "sequence_number"),
                sequence_page=_number(request, "sequence_page"),
            )
            items = await _first_items(self._pubsub.Subscribe(subscription, metadata=_metadata(request)))
        except (grpc.aio.AioRpcError, _RefusedError) as error:
            return _refusal(error)
        return web.json_response({"items": items})


async def _first_items(call: Any) -> list[dict[str, Any]]:
    """Wait for the first item, and return it with all others that are available. End the call."""
    items: list[dict[str, Any]] = []
    try:
        async with asyncio.timeout(None) as timeout:
            async for answer in call:
                if answer.WhichOneof("kind") == "heartbeat":
                    continue
                items.append(_item(answer))
                if len(items) == 1:
                    timeout.reschedule(asyncio.get_running_loop().time() + _SECONDS_FOR_MORE_ITEMS)
    except TimeoutError:
        pass
    except grpc.aio.AioRpcError:
        if not items:
            raise
    return items


def _item(answer: pb._SubscriptionItem) -> dict[str, Any]:
    if answer.WhichOneof("kind") == "discontinuity":
        gap = answer.discontinuity
        return {
            "discontinuity": {
                "last_topic_sequence": gap.last_topic_sequence,
                "new_topic_sequence": gap.new_topic_sequence,
                "new_sequence_page": gap.new_sequence_page,
            }
        }
    message = answer.item
    is_text = message.value.WhichOneof("kind") == "text"
    item = {
        "topic_sequence_number": message.topic_sequence_number,
        "sequence_page": message.sequence_page,
        "value": {"text": message.value.text}
        if is_text
        else {"binary": base64.b64encode(message.value.binary).decode()},
    }
    if message.publisher_id:
        item["publisher_id"] = message.publisher_id
    return {"item": item}


def _value(content_type: str, body: bytes) -> pb._TopicValue:
    if content_type == "application/octet-stream":
        return pb._TopicValue(binary=body)
    try:
        return pb._TopicValue(text=body.decode())
    except UnicodeDecodeError:
        raise _RefusedError(
            HTTPStatus.BAD_REQUEST, "The body is not UTF-8: send bytes as application/octet-stream"
        ) from None


def _number(request: web.Request, name: str) -> int:
    number = parse_number(request.query.get(name, "0"))
    if number is None or number >= 2**64:
        raise _RefusedError(HTTPStatus.BAD_REQUEST, f"{name} must be a number")
    return number


def _metadata(request: web.Request) -> list[tuple[str, str]]:
    tokens = [*request.headers.getall("Authorization", []), *request.query.getall("token", [])]
    if len(tokens) > 1:
        raise _RefusedError(
            HTTPStatus.BAD_REQUEST, "Only one token is allowed, in the Authorization header or in the query"
        )
    token = tokens[0] if tokens else ""
    if not (token.isascii() and token.isprintable()):
        raise _RefusedError(HTTPStatus.UNAUTHORIZED, "Missing or invalid credentials")
    return [("authorization", token)]


def _refusal(error: grpc.aio.AioRpcError | _RefusedError) -> web.Response:
    if isinstance(error, _RefusedError):
        status, description = error.status, str(error)
    else:
        status = _STATUSES.get(error.code(), HTTPStatus.INTERNAL_SERVER_ERROR)
        description = error.details() or ""
    return web.json_response({"status": status.value, "description": description}, status=status)
