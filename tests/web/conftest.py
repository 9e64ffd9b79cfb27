"""The page in a browser, served by a running stack."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Generator, Iterator
from functools import partial
from typing import Any
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import (
    Browser,
    Route,
    expect,
    sync_playwright,
)

from tests.support.http import post
from tests.support.prerequisites import cannot_run
from tests.support.project import ROOT
from tests.support.running_stack import Stack, running_stack
from tests.support.visitor import Visit, Visitor

from .chromium import ARGUMENTS, find_chromium
from .momento_proxy import MomentoProxy

PAGE = ROOT / "web" / "dist" / "index.html"

expect.set_options(timeout=15_000)


FAILED = pytest.StashKey[bool]()


@pytest.fixture(scope="session")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    with running_stack(tmp_path_factory.mktemp("stack")) as stack:
        yield stack


# It ends with this package, because asynchronous tests cannot run while Playwright's loop does.
@pytest.fixture(scope="package")
def browser() -> Iterator[Browser]:
    if not PAGE.exists():
        cannot_run("The page is not built", "make page")
    with sync_playwright() as playwright:
        executable = find_chromium(playwright)
        if executable is None:
            cannot_run("Chromium is not installed", "make chromium")
        with playwright.chromium.launch(executable_path=executable, args=ARGUMENTS) as browser:
            yield browser


@pytest.fixture
def visit(browser: Browser, stack: Stack, course: str, request: pytest.FixtureRequest) -> Iterator[Visit]:
    """Open the page for one more user, with the test's course unless a path is given.

    With `clock`, the test can set the page's clock. `momento_endpoint` takes the place of the stack's.
    """
    visitors: list[Visitor] = []

    def open_page(
        *,
        path: str = f"/?course={course}",
        clock: bool = False,
        momento_endpoint: str | None = None,
        **context: Any,
    ) -> Visitor:
        page = browser.new_context(**context).new_page()
        if clock:
            page.clock.install()
        if momento_endpoint is not None:
            page.route("**/config.json", partial(_replace_momento_endpoint, momento_endpoint))
        visitor = Visitor(page)
        visitors.append(visitor)
        page.goto(stack.facts["web_url"] + path)
        expect(visitor.user_name).to_be_visible()
        return visitor

    yield open_page
    failed = request.node.stash.get(FAILED, False)
    for number, visitor in enumerate(visitors):
        if failed:
            visitor.screenshot(f"failed-{request.node.name}-{number}")
            print(*visitor.problems, sep="\n")
        visitor.page.context.close()
    if not failed:
        assert [visitor.problems for visitor in visitors] == [[]] * len(visitors)


def _replace_momento_endpoint(endpoint: str, route: Route) -> None:
    route.fulfill(json={**route.fetch().json(), "momentoEndpoint": endpoint})


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    item.stash[FAILED] = item.stash.get(FAILED, False) or report.failed
    return report


@pytest.fixture
def proxy(stack: Stack) -> Iterator[MomentoProxy]:
    """Return a proxy in front of Momento, which the page can use as its `momento_endpoint`."""
    port = urlsplit(stack.facts["momento"]["web_url"]).port
    assert port
    with MomentoProxy(port) as proxy:
        yield proxy


@pytest.fixture
def course() -> str:
    return uuid.uuid4().hex[:8]


@pytest.fixture
def momento(stack: Stack) -> Iterator[Callable[[str], None]]:
    """Return a function that calls Momento's test admin. What it does is undone after the test."""
    admin = stack.facts["momento"]["admin_url"]

    def act(path: str) -> None:
        assert post(f"{admin}/{path}", b"", {}).status == 200

    yield act
    act("clear-faults")
    act("unblock")
