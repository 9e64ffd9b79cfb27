"""What tests of the page do and expect."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Locator, ViewportSize, expect

from tests.support.project import ROOT
from tests.support.running_stack import Stack
from tests.support.visitor import Visitor

PHONE: ViewportSize = {"width": 360, "height": 740}


def publish_as(stack: Stack, username: str, course: str, text: str) -> None:
    event = {"userId": username, "courseId": course, "comment": text}
    assert stack.invoke("PublisherFunction", event) == {"published": 1, "failed": []}


def shows(comments: Locator, username: str, text: str) -> None:
    """Expect one comment with this text, under this name."""
    comment = comments.filter(has_text=text)
    expect(comment).to_have_count(1)
    expect(comment).to_contain_text(username)


def tab_to(visitor: Visitor, control: Locator) -> None:
    for _ in range(30):
        visitor.page.keyboard.press("Tab")
        if control.evaluate("control => control === document.activeElement"):
            return
    pytest.fail(f"Tab does not lead to {control}")


def momento_address(stack: Stack) -> str:
    """Return the part that is the same in all addresses of Momento, one of which each tab uses."""
    return f".localhost:{urlsplit(stack.facts['momento']['web_url']).port}"


def password(stack: Stack, username: str) -> str:
    return next(str(user["password"]) for user in stack.facts["users"] if user["username"] == username)


AXE = ROOT / "web" / "node_modules" / "axe-core" / "axe.min.js"


RUN = """async () => {
    const { violations, passes } = await axe.run(document);
    const found = violations.map(({ help, nodes }) => `${help}: ${nodes.map(({ html }) => html)}`);
    return { found, passed: passes.length };
}"""


def finds_nothing(visitor: Visitor) -> None:
    # The page's content security policy forbids a script element.
    visitor.page.evaluate(AXE.read_text(encoding="utf-8"))
    result: dict[str, Any] = visitor.page.evaluate(RUN)
    assert result["found"] == []
    assert result["passed"] > 10


# What appears in an element, in order. The list of comments itself keeps only the newest ones.
RECORD = """(element) => {
    element.appeared = [];
    new MutationObserver((changes) => {
        const added = changes.flatMap((change) => [...change.addedNodes]);
        element.appeared.push(...added.map((node) => node.textContent));
    }).observe(element, { childList: true });
}"""


RECORDED = "(element) => element.appeared"


def described_by(field: Locator) -> str:
    """Return the description that the browser gives to assistive technology."""
    session = field.page.context.new_cdp_session(field.page)
    element = session.send(
        "Runtime.evaluate", {"expression": f"document.getElementById('{field.get_attribute('id')}')"}
    )
    nodes: list[dict[str, Any]] = session.send(
        "Accessibility.getPartialAXTree", {"objectId": element["result"]["objectId"], "fetchRelatives": False}
    )["nodes"]
    return str(nodes[0].get("description", {}).get("value", ""))


def shows_error_beside(field: Locator, text: str) -> Locator:
    """Expect an error that is tied to the field and in sight. Return it."""
    error = field.page.get_by_role("alert").filter(has_text=text)
    expect(error).to_be_in_viewport(ratio=1)
    assert text in described_by(field)
    expect(field).to_have_attribute("aria-invalid", "true")
    return error


def shows_no_error_beside(field: Locator) -> None:
    expect(field.page.get_by_role("alert")).to_be_hidden()
    expect(field).not_to_have_attribute("aria-invalid", "true")
