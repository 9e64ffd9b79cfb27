"""The interceptor of all gRPC calls: injected faults, authentication, permissions and rate limits."""

from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Mapping
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any, TypeAlias

import grpc
from google.protobuf.message import DecodeError

from local.momento.auth import Authority, Caller
from local.momento.errors import MomentoError, invalid_argument
from local.momento.faults import Faults
from local.momento.limits import RateLimits
from local.momento.rpcs import RPCS, Area, Rpc


@dataclass(frozen=True)
class Call:
    """The context of a call. Handlers get it instead of gRPC's context.

    `cache_name` is the cache in the call's metadata or request; the cache may not exist.
    """

    caller: Caller
    cache_name: str


Handler = Callable[[Any, Call], Awaitable[Any]]
StreamHandler = Callable[[Any, Call], AsyncGenerator[Any, None]]
# Generic in the type stubs only, hence the quotes.
Context: TypeAlias = "grpc.aio.ServicerContext[Any, Any]"
MethodHandler: TypeAlias = "grpc.RpcMethodHandler[Any, Any] | None"


class CallInterceptor(grpc.aio.ServerInterceptor):
    """Check calls before the services' handlers get them, and convert errors into gRPC statuses."""

    def __init__(self, authority: Authority, faults: Faults, rate_limits: RateLimits) -> None:
        self._authority = authority
        self._faults = faults
        self._rate_limits = rate_limits

    async def intercept_service(
        self,
        continuation: Callable[[grpc.HandlerCallDetails], Awaitable[MethodHandler]],
        handler_call_details: grpc.HandlerCallDetails,
    ) -> MethodHandler:
        handler: Any = await continuation(handler_call_details)
        if handler is None:
            return None
        rpc = RPCS[handler_call_details.method]
        deserialize = _deserializer(handler.request_deserializer)
        if handler.response_streaming:
            return grpc.unary_stream_rpc_method_handler(
                self._stream(rpc, handler.unary_stream),
                request_deserializer=deserialize,
                response_serializer=handler.response_serializer,
            )
        return grpc.unary_unary_rpc_method_handler(
            self._unary(rpc, handler.unary_unary),
            request_deserializer=deserialize,
            response_serializer=handler.response_serializer,
        )

    def _unary(self, rpc: Rpc, handler: Handler) -> Callable[[Any, Context], Awaitable[Any]]:
        async def answer(request: Any, context: Context) -> Any:
            try:
                call = await self._admit(rpc, request, _metadata(context))
                response = await handler(request, call)
                await self._faults.apply_to_answer(rpc.fault_name)
            except MomentoError as error:
                await _abort(context, error)
            else:
                return response

        return answer

    def _stream(self, rpc: Rpc, handler: StreamHandler) -> Callable[[Any, Context], AsyncIterator[Any]]:
        async def answer(request: Any, context: Context) -> AsyncIterator[Any]:
            metadata = _metadata(context)
            fault = self._faults.stream_fault(rpc.fault_name, metadata)
            sent = 0
            try:
                call = await self._admit(rpc, request, metadata)
                fault.apply(sent)
                async with aclosing(handler(request, call)) as messages:
                    async for message in messages:
                        yield message
                        sent += 1
                        fault.apply(sent)
                await self._faults.apply_to_answer(rpc.fault_name)
            except MomentoError as error:
                await _abort(context, error)

        return answer

    async def _admit(self, rpc: Rpc, request: Any, metadata: Mapping[str, str]) -> Call:
        """Return the call if it is allowed. Raise MomentoError."""
        await self._faults.apply(rpc.fault_name, metadata)
        if request is None:
            raise invalid_argument("The request is not a protobuf message of this call")
        credential = metadata.get("authorization", "")
        if rpc.area is Area.TOKEN:
            # The JavaScript SDKs send their key only in the request.
            credential = credential or request.auth_token
        caller = self._authority.authenticate(credential)
        match rpc.area:
            case Area.CACHE:
                cache_name = _required("Cache name", metadata.get("cache", ""))
                for key, access in rpc.item_accesses(request):
                    if not key:
                        raise invalid_argument("Key must not be empty")
                    caller.require_item_access(cache_name, key, access)
            case Area.TOPIC:
                cache_name = _required("Cache name", request.cache_name)
                topic = _required("Topic name", request.topic)
                caller.require_topic_access(cache_name, topic, rpc.access)
            case Area.CONTROL:
                caller.require_super_user()
                self._rate_limits.count_control_call()
                cache_name = ""
                if "cache_name" in request.DESCRIPTOR.fields_by_name:
                    cache_name = _required("Cache name", request.cache_name)
            case Area.TOKEN:
                caller.require_super_user()
                self._rate_limits.count_mint()
                cache_name = ""
        return Call(caller, cache_name)


def _deserializer(parse: Callable[[bytes], Any]) -> Callable[[bytes], Any]:
    """Return a parser that gives None for malformed bytes: gRPC would log an exception as a server error."""

    def deserialize(request: bytes) -> Any:
        try:
            return parse(request)
        except DecodeError:
            return None

    return deserialize


def _required(what: str, name: str) -> str:
    if not name.strip():
        raise invalid_argument(f"{what} must not be empty")
    return name


def _metadata(context: Context) -> dict[str, str]:
    return {name: value for name, value in context.invocation_metadata() or () if isinstance(value, str)}


async def _abort(context: Context, error: MomentoError) -> None:
    trailers = () if error.cause is None else (("err", error.cause),)
    await context.abort(error.status, str(error), trailers)
