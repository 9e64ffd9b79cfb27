"""Somebody who visits the page with a browser."""

from __future__ import annotations

from collections.abc import Callable
from urllib.parse import parse_qs, urlsplit

from playwright.sync_api import (
    ConsoleMessage,
    Locator,
    Page,
    Request,
    Response,
    expect,
)

from tests.support.project import ROOT

SCREENSHOTS = ROOT / ".local" / "screenshots"


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
