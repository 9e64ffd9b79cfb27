"""The browser's page, as `make run` builds it into `web/dist`, and what it needs to know of this stack.

Both are served at one address. The page fetches `/config.json`; on AWS, that is a file which the user writes.
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
# What a tab of the page opens with; the page has no tab for a topic that is off.
_FIRST_SHOWN = {"comment": ("courseId", "123"), "poll": ("pollId", "demo"), "chat": ("room", "lobby")}


def is_built(folder: Path) -> bool:
    """Return whether there is a page in the folder."""
    return (folder / _INDEX).is_file()


def page_configuration(facts: StackFacts, languages: Sequence[str]) -> dict[str, Any]:
    """Return what `/config.json` says: where the page finds the stack's parts, and who may sign in.

    On AWS, `cognitoEndpoint` and `momentoEndpoint` are null, and there are no `users`. Each page that is
    opened gets its own `momentoEndpoint`, see `_own_address`. The chat is translated into `languages`.
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
    """Serve the files of `folder`, inside, at the URL that is yielded: at a free port where `port` is taken.

    Raises OSError where no port can be had.
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
                {**configuration, "momentoEndpoint": _own_address(momento, next(tab_numbers))}
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


def _own_address(url: str, tab: int) -> str:
    """Return another address of the same server, such as `http://tab-1.localhost:8081`.

    Browsers open six HTTP/1.1 connections to an address at most, over all tabs, and a tab's subscription
    takes one for as long as the tab is open. With an address for each tab, any number of them works. (Momento
    itself speaks HTTP/2, which has no such limit, but browsers speak that only with TLS.)
    """
    return f"http://tab-{tab}.localhost:{urlsplit(url).port}"


def _resolves_localhost(user_agent: str) -> bool:
    """Return whether a browser takes every name that ends in `.localhost` for this machine.

    Chromium and Firefox do; Safari asks the system's resolver.
    """
    return "Chrome/" in user_agent or "Firefox/" in user_agent


async def _forbid_caching(_: web.Request, response: web.StreamResponse) -> None:
    # The next stack, or the page built anew, may be at the same address.
    response.headers["Cache-Control"] = "no-store"
