"""Momento's HTTP API for topics, for those without an SDK: publishing, and subscribing by long polls.

| request | answer |
| --- | --- |
| `POST /topics/{cache}/{topic}`, the message as body | 204 |
| `GET`, with `?sequence_number=` and `&sequence_page=` | 200 when there is something: `{"items": [...]}` |

The token is the `Authorization` header as it is, or the query's `token`, but not both. A poll asks for the
message that it expects next; without a number, or with 0, it begins with the latest message that is held.
Where there is none yet, it waits for as long as it takes.

Paths, parameters, statuses and the form of items are those of Momento's documentation ("HTTP API Reference
for Momento Topics", docs.momentohq.com). It does not say, and here is guessed:

- the body of errors: `{"status", "description"}`;
- binary messages in items: base64, as `{"binary"}`;
- the publisher's token id in items: `publisher_id`, as in the protocol, where there is one;
- content types other than `text/plain` and `application/octet-stream`: text, as the documentation's examples
  with curl send no type of their own.

In the documentation's example of a discontinuity, `new_topic_sequence` is the number of the message that
follows; here it is one less, as Momento's SDKs read it on gRPC.
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
_SECONDS_FOR_MORE = 0.05
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
    """Passes requests on to a gRPC server, which knows the permissions and limits."""

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
    """Wait for something to tell, and return it with what else is there already; the call ends with that."""
    items: list[dict[str, Any]] = []
    try:
        async with asyncio.timeout(None) as patience:
            async for answer in call:
                if answer.WhichOneof("kind") == "heartbeat":
                    continue
                items.append(_item(answer))
                if len(items) == 1:
                    patience.reschedule(asyncio.get_running_loop().time() + _SECONDS_FOR_MORE)
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
            HTTPStatus.BAD_REQUEST, "The body is not UTF-8: application/octet-stream is for bytes"
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
            HTTPStatus.BAD_REQUEST, "Only one token must be given, as Authorization header or in the query"
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
