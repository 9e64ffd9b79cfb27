"""The HTTP server for clients without gRPC. Pages of any origin may call it, as with Momento itself."""

from collections.abc import Awaitable, Callable, Iterable

from aiohttp import web

_MAX_BODY_BYTES = 8 * 1024 * 1024


def web_application(routes: Iterable[web.RouteDef]) -> web.Application:
    """Return an application with these routes, which pages of any origin may call."""
    application = web.Application(client_max_size=_MAX_BODY_BYTES, middlewares=[_refuse_broken_body])
    application.on_response_prepare.append(_allow_any_origin)
    application.add_routes([*routes, web.options("/{path:.*}", _preflight)])
    return application


@web.middleware
async def _refuse_broken_body(
    request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
) -> web.StreamResponse:
    """Answer 400 if the body cannot be read, such as one that does not match its Content-Encoding."""
    try:
        return await handler(request)
    except web.RequestPayloadError as error:
        raise web.HTTPBadRequest(text="The body cannot be read") from error


async def _allow_any_origin(request: web.Request, response: web.StreamResponse) -> None:
    response.headers["Access-Control-Allow-Origin"] = request.headers.get("Origin", "*")
    response.headers["Access-Control-Expose-Headers"] = "grpc-status, grpc-message, err"
    response.headers["Vary"] = "Origin"


async def _preflight(request: web.Request) -> web.Response:
    """Allow all methods and headers that the browser requests."""
    return web.Response(
        status=204,
        headers={
            "Access-Control-Allow-Methods": "GET, POST, OPTIONS",
            "Access-Control-Allow-Headers": request.headers.get("Access-Control-Request-Headers", ""),
            "Access-Control-Max-Age": "86400",
        },
    )
