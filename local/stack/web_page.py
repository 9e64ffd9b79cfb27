"""Serve the page, which `make run` builds in `web/dist`, and its `/config.json` with the stack's addresses.

On AWS, the user writes `config.json`.
"""

import contextlib
import itertools
from collections.abc import AsyncIterator, Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from aiohttp import web

from local.cloudformation.template import REGION
from local.serving.ports import HOST, listen, port_of
from local.stack.facts import StackFacts

_INDEX = "index.html"
# What each tab of the page shows first. The page has no tab for a topic that is off.
_FIRST_SHOWN = {"comment": ("courseId", "123"), "poll": ("pollId", "demo"), "chat": ("room", "lobby")}


def is_built(folder: Path) -> bool:
    """Return whether the folder contains a page."""
    return (folder / _INDEX).is_file()


def page_configuration(facts: StackFacts, languages: Sequence[str]) -> dict[str, Any]:
    """Return the content of `/config.json`: the addresses of the stack's parts, and the users.

    On AWS, `cognitoEndpoint` and `momentoEndpoint` are null, and there are no `users`. Each tab gets its own
    `momentoEndpoint`, see `_tab_address`. The chat is translated into `languages`.
    """
    return {
        "tokenUrl": facts.token_url,
        "region": REGION,
        "userPoolClientId": facts.user_pool_client_id,
        "cognitoEndpoint": facts.aws_endpoint_url,
        "momentoEndpoint": facts.momento.web_url,
        **dict(shown for topic, shown in _FIRST_SHOWN.items() if topic in facts.topics),
        "languages": list(languages),
        "users": [{"username": user.username, "password": user.password} for user in facts.users],
    }


@contextlib.asynccontextmanager
async def web_page(folder: Path, configuration: Mapping[str, Any], port: int) -> AsyncIterator[str]:
    """Serve the files of `folder` on `port`, or on a free port if it is taken, and yield the URL.

    Raise OSError if there is no free port.
    """
    runner = web.AppRunner(_application(folder, configuration), access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    try:
        sock = listen(port)
        await web.SockSite(runner, sock).start()
        yield f"http://{HOST}:{port_of(sock)}"
    finally:
        await runner.cleanup()


def _application(folder: Path, configuration: Mapping[str, Any]) -> web.Application:
    tab_numbers = itertools.count(1)

    async def config(request: web.Request) -> web.Response:
        momento = configuration.get("momentoEndpoint")
        if momento and _resolves_localhost(request.headers.get("User-Agent", "")):
            return web.json_response(
                {**configuration, "momentoEndpoint": _tab_address(momento, next(tab_numbers))}
            )
        return web.json_response(configuration)

    async def index(_: web.Request) -> web.FileResponse:
        return web.FileResponse(folder / _INDEX)

    application = web.Application()
    application.on_response_prepare.append(_forbid_caching)
    application.router.add_get("/config.json", config)
    application.router.add_get("/", index)
    application.router.add_static("/", folder)
    return application


def _tab_address(url: str, tab: int) -> str:
    """Return another address of the same server, such as `http://tab-1.localhost:8081`.

    Over all tabs, browsers open at most six HTTP/1.1 connections to one address, and the subscription of
    each open tab needs one. With an address per tab, any number of tabs works. (Momento itself uses HTTP/2,
    which has no such limit, but browsers support HTTP/2 only with TLS.)
    """
    return f"http://tab-{tab}.localhost:{urlsplit(url).port}"


def _resolves_localhost(user_agent: str) -> bool:
    """Return whether a browser resolves every name that ends in `.localhost` to this machine.

    Chromium and Firefox do. Safari asks the system's resolver.
    """
    return "Chrome/" in user_agent or "Firefox/" in user_agent


async def _forbid_caching(_: web.Request, response: web.StreamResponse) -> None:
    # The next stack or a new build of the page may have the same address.
    response.headers["Cache-Control"] = "no-store"
