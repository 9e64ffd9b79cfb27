"""axe-core finds nothing wrong in any state of the page."""

from __future__ import annotations

from typing import Literal

from playwright.sync_api import expect

from tests.support.page import PHONE, finds_nothing, publish_as, shows
from tests.support.running_stack import Stack
from tests.support.visitor import Visit, Visitor

COLOR_SCHEMES: tuple[Literal["dark", "light"], ...] = ("dark", "light")


def finds_nothing_in_any_look(visitor: Visitor) -> None:
    for scheme in COLOR_SCHEMES:
        visitor.page.emulate_media(color_scheme=scheme, reduced_motion="reduce")
        finds_nothing(visitor)
    desktop = visitor.page.viewport_size
    visitor.page.set_viewport_size(PHONE)
    finds_nothing(visitor)
    assert desktop
    visitor.page.set_viewport_size(desktop)


def test_axe_finds_nothing(stack: Stack, course: str, visit: Visit) -> None:
    taylor = visit()
    finds_nothing_in_any_look(taylor)
    taylor.provokes_problems_with(stack.facts["aws_endpoint_url"])
    taylor.sign_in("taylor", "a guess")
    expect(taylor.alert).to_be_visible()
    finds_nothing_in_any_look(taylor)
    taylor.join("taylor", course)
    publish_as(stack, "jordan", course, "Here")
    shows(taylor.stored, "jordan", "Here")
    taylor.publish("Mine")
    shows(taylor.stored, "taylor", "Mine")
    taylor.comment.fill("x" * 5000)
    expect(taylor.alert).to_be_visible()
    finds_nothing_in_any_look(taylor)
