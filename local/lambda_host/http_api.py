"""The template's HTTP API: routes, JWT authorizer, throttling and CORS."""

from collections.abc import Mapping
from typing import Any

from aiohttp import web

from local.cloudformation.template import ACCOUNT_ID
from local.lambda_host import cors
from local.lambda_host.declaration import HttpApiConfiguration, JwtConfiguration, Route
from local.lambda_host.function import Function, ThrottledError
from local.lambda_host.jwt_authorizer import JwtAuthorizer, UnauthorizedError
from local.lambda_host.limits import MAX_PAYLOAD_BYTES, MAX_REQUEST_HEADER_BYTES
from local.lambda_host.proxy_integration import FunctionFailedError, RequestTooLargeError, answer_with
from local.serving.token_bucket import TokenBucket

_FAILURES: Mapping[type[Exception], tuple[int, str]] = {
    RequestTooLargeError: (413, "Request Entity Too Large"),
    ThrottledError: (503, "Service Unavailable"),
    FunctionFailedError: (500, "Internal Server Error"),
}


class HttpApi:
    """Answer HTTP requests as API Gateway does, with functions that get events of payload format 2.0."""

    def __init__(
        self,
        configuration: HttpApiConfiguration,
        functions: Mapping[str, Function],
        authorizers: Mapping[JwtConfiguration, JwtAuthorizer],
    ) -> None:
        """Serve the routes of `configuration`. `authorizers` has one for each of its JWT configurations."""
        self._cors = configuration.cors
        self._routes = {(route.method, route.path): route for route in configuration.routes}
        self._buckets = {
            route: TokenBucket(route.throttle.rate, route.throttle.burst)
            for route in configuration.routes
            if route.throttle
        }
        self._functions = functions
        self._authorizers = authorizers

    def application(self) -> web.Application:
        """Return the web application that serves the API."""
        app = web.Application(client_max_size=MAX_PAYLOAD_BYTES)
        app.router.add_route("*", "/{path:.*}", self._handle)
        return app

    async def _handle(self, request: web.Request) -> web.Response:
        if _header_size(request) > MAX_REQUEST_HEADER_BYTES:
            return _message(431, "Request Header Fields Too Large")
        if self._cors and request.method == "OPTIONS":
            return cors.preflight(self._cors, request)
        response = await self._answer(request)
        if self._cors:
            cors.add_cors_headers(self._cors, request, response)
        return response

    async def _answer(self, request: web.Request) -> web.Response:
        route = self._routes.get((request.method, request.rel_url.raw_path))
        if not route:
            return _message(404, "Not Found")
        if route in self._buckets and not self._buckets[route].take():
            return _message(429, "Too Many Requests")
        try:
            return await answer_with(
                self._functions[route.function],
                request,
                route_key=route.key,
                account_id=ACCOUNT_ID,
                authorizer=await self._authorizer_context(route, request),
            )
        except UnauthorizedError as error:
            return _unauthorized(error)
        except tuple(_FAILURES) as error:
            return _message(*_FAILURES[type(error)])

    async def _authorizer_context(self, route: Route, request: web.Request) -> Mapping[str, Any] | None:
        if not route.authorizer:
            return None
        authorizer = self._authorizers[route.authorizer]
        claims = await authorizer.claims(request.headers.get("Authorization"))
        return {"jwt": {"claims": claims, "scopes": None}}


def _header_size(request: web.Request) -> int:
    """Return the number of bytes in the request line and all header values."""
    protocol = f"HTTP/{request.version.major}.{request.version.minor}"
    request_line = f"{request.method} {request.raw_path} {protocol}"
    return len(request_line.encode()) + sum(len(value) for _, value in request.raw_headers)


def _message(status: int, message: str) -> web.Response:
    return web.json_response({"message": message}, status=status)


def _unauthorized(error: UnauthorizedError) -> web.Response:
    response = _message(401, "Unauthorized")
    challenge = "Bearer"
    if error.description is not None:
        description = error.description.encode("ascii", "replace").decode().replace('"', "'")
        description = " ".join(description.split())
        challenge = f'Bearer scope="" error="invalid_token" error_description="{description}"'
    response.headers["WWW-Authenticate"] = challenge
    return response
