"""The function URL of a function: any method and path, without an authorizer.

Reference: https://docs.aws.amazon.com/lambda/latest/dg/urls-invocation.html
"""

from aiohttp import web

from local.lambda_host.function import Function, ThrottledError
from local.lambda_host.limits import MAX_PAYLOAD_BYTES
from local.lambda_host.proxy_integration import FunctionFailedError, RequestTooLargeError, answer_with


class FunctionUrl:
    """Answer HTTP requests with one function, which gets events of payload format 2.0."""

    def __init__(self, function: Function) -> None:
        """Invoke `function`."""
        self._function = function

    def application(self) -> web.Application:
        """Return the web application that serves the URL."""
        app = web.Application(client_max_size=MAX_PAYLOAD_BYTES)
        app.router.add_route("*", "/{path:.*}", self._handle)
        return app

    async def _handle(self, request: web.Request) -> web.Response:
        try:
            return await answer_with(self._function, request, route_key="$default", account_id="anonymous")
        except RequestTooLargeError:
            message = (
                f"Request must be smaller than {MAX_PAYLOAD_BYTES} bytes for the InvokeFunction operation"
            )
            return web.json_response({"Message": message}, status=413)
        except ThrottledError as error:
            return web.json_response({"Message": error.message}, status=429)
        except FunctionFailedError:
            return web.Response(status=502, text="Internal Server Error", content_type="application/json")
