"""CORS headers of HTTP APIs, which API Gateway adds without the function.

Reference: https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-cors.html
"""

from aiohttp import web

from local.lambda_host.declaration import CorsConfiguration


def preflight(configuration: CorsConfiguration, request: web.Request) -> web.Response:
    """Return the answer to an OPTIONS request.

    It has CORS headers if the origin is allowed and the request has Access-Control-Request-Method.
    """
    response = web.Response(status=204)
    if "Access-Control-Request-Method" not in request.headers:
        return response
    add_cors_headers(configuration, request, response)
    if _allowed_origin(configuration, request):
        response.headers["Access-Control-Allow-Methods"] = ",".join(configuration.allow_methods)
        response.headers["Access-Control-Allow-Headers"] = ",".join(configuration.allow_headers)
        if configuration.max_age is not None:
            response.headers["Access-Control-Max-Age"] = str(configuration.max_age)
    return response


def add_cors_headers(configuration: CorsConfiguration, request: web.Request, response: web.Response) -> None:
    """Add the API's CORS headers to an answer, and remove any that the function set."""
    for name in [name for name in response.headers if name.lower().startswith("access-control-")]:
        response.headers.popall(name, None)
    if not (origin := _allowed_origin(configuration, request)):
        return
    response.headers["Access-Control-Allow-Origin"] = origin
    if origin != "*":
        response.headers["Vary"] = "Origin"
    if configuration.expose_headers:
        response.headers["Access-Control-Expose-Headers"] = ",".join(configuration.expose_headers)
    if configuration.allow_credentials:
        response.headers["Access-Control-Allow-Credentials"] = "true"


def _allowed_origin(configuration: CorsConfiguration, request: web.Request) -> str | None:
    """Return the Access-Control-Allow-Origin for the request's origin, or None if it is not allowed."""
    origin = request.headers.get("Origin")
    if origin is None:
        return None
    if "*" in configuration.allow_origins:
        return "*"
    scheme = origin.partition("://")[0]
    allowed = origin in configuration.allow_origins or f"{scheme}://*" in configuration.allow_origins
    return origin if allowed else None
