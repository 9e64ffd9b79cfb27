"""The browser's page, as `make run` builds it into `web/dist`, and what it needs to know of this stack.

Both are served at one address. The page fetches `/config.json`; on AWS, that is a file which the user writes.
"""

import contextlib
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from aiohttp import web

from local.facts import StackFacts
from local.ports import HOST, listen, port_of
from local.template import REGION

_INDEX = "index.html"
_COURSE_ID = "123"


def is_built(folder: Path) -> bool:
    """Return whether there is a page in the folder."""
    return (folder / _INDEX).is_file()


def page_configuration(facts: StackFacts) -> dict[str, Any]:
    """Return what `/config.json` says: where the page finds the stack's parts, and who may sign in.

    On AWS, `cognitoEndpoint` and `momentoEndpoint` are null, and there are no `users`.
    """
    return {
        "tokenUrl": facts.token_url,
        "region": REGION,
        "userPoolClientId": facts.user_pool_client_id,
        "cognitoEndpoint": facts.aws_endpoint_url,
        "momentoEndpoint": facts.momento.web_url,
        "courseId": _COURSE_ID,
        "users": [{"username": user.username, "password": user.password} for user in facts.users],
    }


class WebPage:
    """A server of the page at `url`; an async context manager."""

    def __init__(self, folder: Path, configuration: Mapping[str, Any], port: int) -> None:
        """Serve the files of `folder`, at a free port where `port` is taken."""
        self._folder = folder
        self._configuration = configuration
        self._port = port
        self._resources = contextlib.AsyncExitStack()
        self.url = ""

    async def __aenter__(self) -> Self:
        """Start serving. Raises OSError where no port can be had."""
        async with contextlib.AsyncExitStack() as resources:
            runner = web.AppRunner(self._application(), access_log=None, shutdown_timeout=0.1)
            await runner.setup()
            resources.push_async_callback(runner.cleanup)
            sock = listen(self._port)
            await web.SockSite(runner, sock).start()
            self.url = f"http://{HOST}:{port_of(sock)}"
            self._resources = resources.pop_all()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop serving."""
        await self._resources.aclose()

    def _application(self) -> web.Application:
        application = web.Application()
        application.on_response_prepare.append(_forbid_caching)
        application.router.add_get("/config.json", self._config)
        application.router.add_get("/", self._index)
        application.router.add_static("/", self._folder)
        return application

    async def _config(self, _: web.Request) -> web.Response:
        return web.json_response(self._configuration)

    async def _index(self, _: web.Request) -> web.FileResponse:
        return web.FileResponse(self._folder / _INDEX)


async def _forbid_caching(_: web.Request, response: web.StreamResponse) -> None:
    # The next stack, or the page built anew, may be at the same address.
    response.headers["Cache-Control"] = "no-store"
