"""What axe-core finds in each state of the page: nothing."""

from __future__ import annotations

from typing import Any

import pytest
from playwright.sync_api import expect

from tests.support.project import ROOT
from tests.support.running_stack import Stack

from .conftest import Visit, Visitor
from .test_page import PHONE, publish_as, shows

AXE = ROOT / "web" / "node_modules" / "axe-core" / "axe.min.js"
RUN = """async () => {
    const { violations, passes } = await axe.run(document);
    const found = violations.map(({ help, nodes }) => `${help}: ${nodes.map(({ html }) => html)}`);
    return { found, passed: passes.length };
}"""


def finds_nothing(visitor: Visitor) -> None:
    # Not as a script element, which the page's content security policy forbids.
    visitor.page.evaluate(AXE.read_text(encoding="utf-8"))
    result: dict[str, Any] = visitor.page.evaluate(RUN)
    assert result["found"] == []
    assert result["passed"] > 10


@pytest.mark.parametrize(
    "context",
    [{"color_scheme": "light"}, {"color_scheme": "dark"}, {"viewport": PHONE}],
    ids=["light", "dark", "phone"],
)
def test_axe_finds_nothing(context: dict[str, Any], stack: Stack, course: str, visit: Visit) -> None:
    taylor = visit(reduced_motion="reduce", **context)
    finds_nothing(taylor)
    taylor.provokes_problems_with(stack.facts["aws_endpoint_url"])
    taylor.sign_in("taylor", "a guess")
    expect(taylor.alert).to_be_visible()
    finds_nothing(taylor)
    taylor.join("taylor", course)
    publish_as(stack, "jordan", course, "Here")
    shows(taylor.stored, "jordan", "Here")
    taylor.publish("Mine")
    shows(taylor.stored, "taylor", "Mine")
    taylor.comment.fill("x" * 5000)
    expect(taylor.alert).to_be_visible()
    finds_nothing(taylor)
