"""The page in a browser, served by a running stack."""

from __future__ import annotations

import os
import uuid
from collections.abc import Callable, Generator, Iterator
from functools import partial
from typing import Any, NoReturn
from urllib.parse import parse_qs, urlsplit

import pytest
from playwright.sync_api import (
    Browser,
    ConsoleMessage,
    Locator,
    Page,
    Request,
    Response,
    Route,
    expect,
    sync_playwright,
)

from tests.support.http import post
from tests.support.project import ROOT
from tests.support.running_stack import Stack, running_stack

from .chromium import ARGUMENTS, find_chromium
from .momento_proxy import MomentoProxy

PAGE = ROOT / "web" / "dist" / "index.html"
SCREENSHOTS = ROOT / ".local" / "screenshots"

expect.set_options(timeout=15_000)


class Visitor:
    """A user at the page, in a browser profile of their own.

    `problems` lists what goes wrong behind the page, except what a test provokes.
    """

    def __init__(self, page: Page) -> None:
        self.page = page
        self.status = page.get_by_role("status")
        self.alert = page.get_by_role("alert")
        self.user_name = page.get_by_label("User name", exact=True)
        self.password = page.get_by_label("Password", exact=True)
        self.course = page.get_by_label("Course", exact=True)
        self.comment = page.get_by_label("Your comment", exact=True)
        self.comments = page.get_by_role("list", name="Comments").get_by_role("listitem")
        self.stored = self.comments.filter(has=page.get_by_role("img", name="Saved"))
        self._problems: list[str] = []
        self._provoked: list[str] = []
        page.on("console", self._on_console)
        page.on("pageerror", lambda error: self._problems.append(f"uncaught: {error}"))
        page.on("requestfailed", self._on_request_failed)
        page.on("response", self._on_response)

    @property
    def problems(self) -> list[str]:
        return [one for one in self._problems if not any(url in one for url in self._provoked)]

    def provokes_problems_with(self, url: str) -> None:
        self._provoked.append(url)

    def button(self, name: str) -> None:
        self.page.get_by_role("button", name=name, exact=True).click()

    def sign_in(self, username: str, password: str) -> None:
        self.user_name.fill(username)
        self.password.fill(password)
        self.button("Sign in")

    def sign_in_as_sample_user(self, username: str) -> None:
        self.page.get_by_role("group", name="Sample users").get_by_role("button", name=username).click()
        expect(self.page.get_by_text(f"Signed in as {username}")).to_be_visible()

    def join(self, username: str, course: str) -> None:
        """Sign in as a sample user at a page that was opened with this course, and wait until it is live."""
        self.sign_in_as_sample_user(username)
        expect(self.course).to_have_value(course)
        expect(self.status).to_have_text("Live")

    def follow(self, course: str) -> None:
        self.change_id("Course", course)
        expect(self.status).to_have_text("Live")

    def tab(self, name: str) -> Locator:
        return self.page.get_by_role("tab", name=name, exact=True)

    def change_id(self, label: str, wanted: str) -> None:
        """Show another course, poll or room, and wait until the page's address says that it is shown."""
        field = self.page.get_by_role("textbox", name=label, exact=True)
        with self.page.expect_response(lambda one: f'["{wanted}"]' in (one.request.post_data or "")):
            field.fill(wanted)
            field.press("Enter")
        self.page.wait_for_url(lambda url: wanted in parse_qs(urlsplit(url).query).get(label.lower(), []))

    def token_expires_at(self) -> float:
        expires_at: float = self.page.evaluate("session.token.expiresAt")
        return expires_at

    def wait_for_token_after(self, expires_at: float) -> None:
        self.page.wait_for_function(
            "(time) => session.token.expiresAt > time", arg=expires_at, timeout=75_000
        )

    def publish(self, text: str) -> None:
        self.comment.fill(text)
        self.button("Publish")

    def screenshot(self, name: str) -> None:
        # The header stays in sight while the page scrolls, and would cover something.
        self.page.evaluate("scrollTo(0, 0)")
        self.page.screenshot(path=SCREENSHOTS / f"{name}.png", full_page=True, animations="disabled")

    def _on_console(self, message: ConsoleMessage) -> None:
        if message.type in {"error", "warning"} and not _is_limit(429, message.location["url"], message.text):
            self._problems.append(f"console: {message.text} ({message.location['url']})")

    def _on_request_failed(self, request: Request) -> None:
        # The page itself aborts requests, such as a subscription that ends.
        if request.failure != "net::ERR_ABORTED":
            self._problems.append(f"failed: {request.method} {request.url} {request.failure}")

    def _on_response(self, response: Response) -> None:
        if response.status >= 400 and not _is_limit(response.status, response.url):
            self._problems.append(f"answered: {response.status} {response.request.method} {response.url}")


def _is_limit(status: int, url: str, text: str = "429") -> bool:
    """Return whether this is the limit of tokens for one user, which the tests share."""
    return status == 429 and url.endswith("/token") and "429" in text


Visit = Callable[..., Visitor]
FAILED = pytest.StashKey[bool]()


@pytest.fixture(scope="package")
def stack(browser: Browser, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
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


def cannot_run(reason: str, command: str) -> NoReturn:
    """Skip the test and say what to run first. In CI, where nobody reads why tests are skipped, fail."""
    message = f"{reason}. Run: {command}"
    if os.environ.get("CI") == "true":
        pytest.fail(message, pytrace=False)
    pytest.skip(message)


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
