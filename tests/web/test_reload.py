"""What a reload, a link, and the end of a session keep and forget."""

from __future__ import annotations

import base64
import re
from collections.abc import Callable

from playwright.sync_api import expect

from tests.support.page import publish_as, shows
from tests.support.running_stack import Stack
from tests.support.visitor import Visit, Visitor

ENTRIES_IN_STORAGE = "Object.keys(sessionStorage).length + Object.keys(localStorage).length"


def test_a_reload_keeps_the_sign_in_the_draft_and_the_course(stack: Stack, course: str, visit: Visit) -> None:
    taylor = visit()
    taylor.join("taylor", course)
    publish_as(stack, "jordan", course, "Before")
    draft = "Half a\nthought"
    taylor.comment.fill(draft)
    taylor.page.reload()
    expect(taylor.status).to_have_text("Live")
    expect(taylor.page.get_by_text("Signed in as taylor")).to_be_visible()
    expect(taylor.course).to_have_value(course)
    expect(taylor.comment).to_have_value(draft)
    shows(taylor.stored, "jordan", "Before")
    taylor.button("Publish")
    shows(taylor.stored, "taylor", "thought")
    taylor.page.reload()
    expect(taylor.comment).to_have_value("")


def test_a_comment_without_an_answer_before_a_reload_appears_once(
    momento: Callable[[str], None], course: str, visit: Visit
) -> None:
    taylor = visit()
    taylor.join("taylor", course)
    momento("fail?rpcs=topic-publish&error=internal")
    taylor.publish("Once")
    expect(taylor.alert).to_contain_text("nobody knows")
    bodies: list[str] = []
    taylor.page.on(
        "request", lambda one: bodies.append(one.post_data or "") if "Publish" in one.url else None
    )
    momento("clear-faults")
    taylor.page.reload()
    expect(taylor.status).to_have_text("Live")
    taylor.button("Publish")
    shows(taylor.stored, "taylor", "Once")
    momento("fail?rpcs=topic-publish&error=internal&when=after")
    taylor.publish("Out all the same")
    shows(taylor.stored, "taylor", "Out all the same")
    expect(taylor.comment).to_have_value("")
    momento("clear-faults")
    texts = [base64.b64decode(body).decode(errors="replace") for body in bodies]
    ids = {found[1] for text in texts if "Once" in text and (found := re.search(r'"id":"(.+?)"', text))}
    assert len(ids) == 1


def test_a_link_leads_to_a_course(stack: Stack, course: str, visit: Visit) -> None:
    publish_as(stack, "jordan", course, "Found by link")
    taylor = visit(path=f"/?course={course}")
    taylor.sign_in_as_sample_user("taylor")
    expect(taylor.course).to_have_value(course)
    shows(taylor.stored, "jordan", "Found by link")


def test_the_address_leads_to_the_tab_that_is_shown(visit: Visit) -> None:
    taylor = visit(path="/")
    taylor.sign_in_as_sample_user("taylor")
    for tab, shown in (("Comments", "course=123"), ("Poll", "tab=poll&"), ("Chat", "tab=chat&")):
        taylor.tab(tab).click()
        expect(taylor.page).to_have_url(re.compile(shown))
        taylor.page.reload()
        expect(taylor.tab(tab)).to_have_attribute("aria-selected", "true")


def test_a_link_to_a_refused_course_shows_the_refusal(stack: Stack, course: str, visit: Visit) -> None:
    taylor = visit(path="/?course=12%E2%80%AE3")
    taylor.provokes_problems_with(stack.facts["token_url"])
    taylor.sign_in_as_sample_user("taylor")
    expect(taylor.alert).to_contain_text("refused")
    taylor.follow(course)
    expect(taylor.alert).to_be_hidden()


def test_signing_out_leaves_nothing_behind(course: str, visit: Visit) -> None:
    taylor = visit()
    taylor.join("taylor", course)
    taylor.publish("For others only")
    shows(taylor.stored, "taylor", "For others only")
    taylor.comment.fill("A secret draft")
    assert taylor.page.evaluate(ENTRIES_IN_STORAGE) > 0
    taylor.button("Sign out")
    expect(taylor.status).to_have_text("Signed out")
    expect(taylor.page.get_by_text("For others only")).to_have_count(0)
    assert taylor.page.evaluate(ENTRIES_IN_STORAGE) == 0
    taylor.page.reload()
    expect(taylor.user_name).to_be_visible()
    taylor.sign_in_as_sample_user("jordan")
    expect(taylor.comment).to_have_value("")


def test_another_tab_has_to_sign_in(stack: Stack, course: str, visit: Visit) -> None:
    taylor = visit()
    taylor.join("taylor", course)
    other = Visitor(taylor.page.context.new_page())
    other.page.goto(stack.facts["web_url"])
    expect(other.user_name).to_be_visible()
