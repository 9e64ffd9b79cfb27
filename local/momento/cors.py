"""What lets pages of any origin call the HTTP endpoints, as they may call Momento's."""

from aiohttp import web


def cors_headers(request: web.Request) -> dict[str, str]:
    """Return the headers that let the page which has made the request read the answer."""
    return {
        "Access-Control-Allow-Origin": request.headers.get("Origin", "*"),
        "Access-Control-Expose-Headers": "grpc-status, grpc-message, err",
        "Vary": "Origin",
    }


async def preflight(request: web.Request) -> web.Response:
    """Allow what the browser asks for."""
    return web.Response(
        status=204,
        headers={
            **cors_headers(request),
            "Access-Control-Allow-Methods": "GET, POST, OPTIONS",
            "Access-Control-Allow-Headers": request.headers.get("Access-Control-Request-Headers", ""),
            "Access-Control-Max-Age": "86400",
        },
    )
