"""Bridge gRPC-Web, the protocol of browsers, to the gRPC port.

A request is one frame. The answer has a frame for each message, then a frame with the trailers
(gRPC's PROTOCOL-WEB.md). `@gomomento/sdk-web` uses the text form, because only that can stream: each frame
is encoded in base64 separately. The bridge passes messages on as bytes, without parsing them.
"""

import base64
import binascii
import struct
from collections.abc import Iterable, Mapping
from typing import Any
from urllib.parse import quote

import grpc
from aiohttp import web

from local.momento.errors import MomentoError, invalid_argument, unauthenticated
from local.momento.faults import METADATA_NAMES
from local.momento.numbers import parse_number
from local.momento.rpcs import RPCS

_TEXT_TYPES = ("application/grpc-web-text", "application/grpc-web-text+proto")
_BINARY_TYPES = ("application/grpc-web", "application/grpc-web+proto")
_FORWARDED_HEADERS = ("authorization", "cache", *METADATA_NAMES)
_TRAILERS_FLAG = 0x80
_FRAME_HEADER = struct.Struct(">BI")
# gRPC's protocol allows eight digits.
_MAX_TIMEOUT = 99_999_999
_TIMEOUT_UNITS = {"H": 3600.0, "M": 60.0, "S": 1.0, "m": 1e-3, "u": 1e-6, "n": 1e-9}


class GrpcWebBridge:
    """Pass gRPC-Web calls to a gRPC server."""

    def __init__(self, channel: grpc.aio.Channel) -> None:
        self._channel = channel

    def routes(self) -> list[web.RouteDef]:
        return [web.post("/{service}/{method}", self._answer)]

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        if request.path not in RPCS:
            raise web.HTTPNotFound
        if request.content_type not in _TEXT_TYPES + _BINARY_TYPES:
            raise web.HTTPUnsupportedMediaType
        is_text = request.content_type in _TEXT_TYPES
        message = _message(await request.read(), is_text=is_text)
        if message is None:
            raise web.HTTPBadRequest(text="not a gRPC-Web message")
        response = web.StreamResponse(headers={"Content-Type": request.content_type})
        await response.prepare(request)
        try:
            trailers = await self._call(request, message, response, is_text=is_text)
        except MomentoError as error:
            trailers = _trailers(error.status, str(error), None)
        await response.write(_frame(_TRAILERS_FLAG, trailers, is_text=is_text))
        return response

    async def _call(
        self, request: web.Request, message: bytes, response: web.StreamResponse, *, is_text: bool
    ) -> bytes:
        """Make the call, write its messages to the response, and return its trailers."""
        # On the wire, a unary call is a stream of one message.
        stub: grpc.aio.UnaryStreamMultiCallable[bytes, bytes] = self._channel.unary_stream(request.path)
        call = stub(
            message,
            metadata=_metadata(request.headers),
            timeout=_timeout_seconds(request.headers.get("grpc-timeout", "")),
        )
        try:
            async for answer in call:
                await response.write(_frame(0, answer, is_text=is_text))
        except grpc.aio.AioRpcError:
            pass  # The trailers contain the error.
        finally:
            call.cancel()
        return _trailers(await call.code(), await call.details(), await call.trailing_metadata())


def _metadata(headers: Mapping[str, str]) -> list[tuple[str, str]]:
    """Return the headers to pass on. Raise MomentoError if gRPC cannot transport one of them."""
    metadata = [(name, headers[name]) for name in _FORWARDED_HEADERS if name in headers]
    for name, value in metadata:
        if not (value.isascii() and value.isprintable()):
            message = f"The header {name} must be printable ASCII"
            raise unauthenticated(message) if name == "authorization" else invalid_argument(message)
    return metadata


def _message(body: bytes, *, is_text: bool) -> bytes | None:
    """Return the message in a request's frame, or None if the body is not one complete frame."""
    try:
        frame = base64.b64decode(body, validate=True) if is_text else body
        flag, length = _FRAME_HEADER.unpack_from(frame)
    except (binascii.Error, struct.error):
        return None
    message = frame[_FRAME_HEADER.size :]
    return message if flag == 0 and length == len(message) else None


def _frame(flag: int, content: bytes, *, is_text: bool) -> bytes:
    frame = _FRAME_HEADER.pack(flag, len(content)) + content
    return base64.b64encode(frame) if is_text else frame


def _trailers(
    code: grpc.StatusCode, details: str | None, metadata: Iterable[tuple[str, Any]] | None
) -> bytes:
    trailers = {"grpc-status": str(code.value[0]), "grpc-message": quote(details or "")}
    trailers.update((name, value) for name, value in metadata or () if isinstance(value, str))
    return "".join(f"{name}:{value}\r\n" for name, value in trailers.items()).encode()


def _timeout_seconds(header: str) -> float | None:
    """Return the seconds of a `grpc-timeout` such as `500m`, or None if it is malformed."""
    number, unit = parse_number(header[:-1]), header[-1:]
    if number is None or number > _MAX_TIMEOUT or unit not in _TIMEOUT_UNITS:
        return None
    return number * _TIMEOUT_UNITS[unit]
