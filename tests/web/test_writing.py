"""What users see while they write: errors beside the field, the size, and which comments are their own."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from playwright.sync_api import expect

from tests.support.page import (
    PHONE,
    described_by,
    momento_address,
    password,
    publish_as,
    shows,
    shows_error_beside,
    shows_no_error_beside,
)
from tests.support.running_stack import Stack
from tests.support.visitor import Visit

# Refused, because it contains a character that changes the direction of text.
NO_COURSE = "12\u202e3"
# What the keyboard of a phone leaves of its screen.
PHONE_WITH_KEYBOARD = {"width": 360, "height": 360}


def test_a_wrong_password_is_shown_beside_the_field(stack: Stack, visit: Visit) -> None:
    someone = visit(viewport=PHONE_WITH_KEYBOARD)
    someone.provokes_problems_with(stack.facts["aws_endpoint_url"])
    someone.sign_in("taylor", "a guess")
    shows_error_beside(someone.password, "password is wrong")
    expect(someone.page.get_by_text("Signed in as")).to_be_hidden()
    someone.password.press_sequentially("a")
    shows_no_error_beside(someone.password)
    someone.sign_in("taylor", password(stack, "taylor"))
    expect(someone.page.get_by_text("Signed in as taylor")).to_be_visible()
    expect(someone.alert).to_be_hidden()


def test_an_offline_device_is_shown_beside_the_field_until_it_is_back(
    stack: Stack, course: str, visit: Visit
) -> None:
    taylor = visit(viewport=PHONE_WITH_KEYBOARD)
    taylor.join("taylor", course)
    taylor.provokes_problems_with(momento_address(stack))
    taylor.page.context.set_offline(True)
    taylor.publish("From a tunnel")
    shows_error_beside(taylor.comment, "offline")
    taylor.page.context.set_offline(False)
    shows_no_error_beside(taylor.comment)
    expect(taylor.comment).to_have_value("From a tunnel")


def test_a_refusal_is_shown_beside_the_field_until_the_next_attempt(
    momento: Callable[[str], None], course: str, visit: Visit
) -> None:
    taylor = visit(viewport=PHONE_WITH_KEYBOARD)
    taylor.join("taylor", course)
    momento("fail?rpcs=topic-publish&error=permission-denied&count=1")
    taylor.publish("May I?")
    shows_error_beside(taylor.comment, "Not sent: you may not write here")
    expect(taylor.comment).to_have_value("May I?")
    taylor.button("Publish")
    shows(taylor.comments, "taylor", "May I?")
    shows_no_error_beside(taylor.comment)


def test_a_refused_course_is_shown_beside_the_field_and_the_former_one_stays(
    stack: Stack, course: str, visit: Visit
) -> None:
    taylor = visit(viewport=PHONE)
    taylor.join("taylor", course)
    publish_as(stack, "jordan", course, "Here")
    shows(taylor.stored, "jordan", "Here")
    taylor.provokes_problems_with(stack.facts["token_url"])
    taylor.course.fill(NO_COURSE)
    taylor.course.press("Enter")
    shows_error_beside(taylor.course, "refused")
    expect(taylor.course).to_have_value(course)
    shows(taylor.stored, "jordan", "Here")
    assert f"course={course}" in taylor.page.url
    taylor.course.press_sequentially("1")
    shows_no_error_beside(taylor.course)


def test_a_change_of_courses_waits_for_a_busy_server(stack: Stack, course: str, visit: Visit) -> None:
    taylor = visit()
    taylor.join("taylor", course)
    taylor.provokes_problems_with(stack.facts["token_url"])
    answers = iter([429, 503])

    def refuse_twice(route: Any) -> None:
        status = next(answers, None) if route.request.method == "POST" else None
        if status is None:
            route.continue_()
        else:
            headers = {"Access-Control-Allow-Origin": "*", "Retry-After": "0"}
            route.fulfill(status=status, headers=headers, json={"message": "not now"})

    taylor.page.route(stack.facts["token_url"], refuse_twice)
    publish_as(stack, "jordan", f"{course}-2", "Elsewhere")
    taylor.course.fill(f"{course}-2")
    taylor.course.press("Enter")
    shows_error_beside(taylor.course, "Trying again")
    shows(taylor.stored, "jordan", "Elsewhere")
    shows_no_error_beside(taylor.course)


def test_the_size_is_counted_as_momento_counts_it(course: str, visit: Visit) -> None:
    taylor = visit(viewport=PHONE_WITH_KEYBOARD)
    taylor.join("taylor", course)
    sizes: list[int] = []
    taylor.page.evaluate("""() => {
        const publish = session.publish.bind(session);
        session.publish = (topic, text) => {
            session.size = new TextEncoder().encode(text).length;
            return publish(topic, text);
        };
    }""")
    for text in ("a", 'line\n"quoted"', "é" * 100, "👩‍🏫"):
        taylor.comment.fill(text)
        described = described_by(taylor.comment)
        taylor.button("Publish")
        expect(taylor.comment).to_have_value("")
        sizes.append(taylor.page.evaluate("session.size"))
        assert described == f"{sizes[-1]:,} of 4,096 bytes"
    expect(taylor.comments).to_have_count(4)


def test_the_longest_comment_is_published_and_a_longer_one_is_not(course: str, visit: Visit) -> None:
    taylor = visit(viewport=PHONE_WITH_KEYBOARD)
    taylor.join("taylor", course)
    taylor.comment.fill("a")
    overhead = int(described_by(taylor.comment).split()[0]) - 1
    longest = "a" * (4096 - overhead)
    taylor.comment.fill(f"{longest}é")
    shows_error_beside(taylor.comment, "Too long by 2 bytes")
    taylor.button("Publish")
    expect(taylor.comments).to_have_count(0)
    expect(taylor.comment).to_have_value(f"{longest}é")
    taylor.comment.press("Backspace")
    shows_no_error_beside(taylor.comment)
    taylor.button("Publish")
    expect(taylor.stored).to_have_count(1)
    expect(taylor.comments.locator(".text")).to_have_text(longest)


def test_the_field_grows_with_its_lines_and_line_breaks_are_kept(
    stack: Stack, course: str, visit: Visit
) -> None:
    taylor = visit(viewport=PHONE)
    taylor.join("taylor", course)
    height = "(field) => field.offsetHeight"
    before = taylor.comment.evaluate(height)
    lines = ["First", "", "  Third", "Fourth", "Fifth"]
    taylor.comment.press_sequentially("\n".join(lines))
    assert taylor.comment.evaluate(height) > before
    taylor.comment.press("ControlOrMeta+Enter")
    shows(taylor.stored, "taylor", "Fifth")
    assert stack.entries(course)[0]["comment"] == "\n".join(lines)
    assert taylor.comments.locator(".text").inner_text() == "\n".join(lines)
    assert taylor.comment.evaluate(height) == before


def test_own_comments_are_marked(course: str, visit: Visit) -> None:
    taylor, jordan = visit(), visit()
    for visitor, name in ((taylor, "taylor"), (jordan, "jordan")):
        visitor.join(name, course)
    taylor.publish("Mine")
    for visitor, is_own in ((taylor, True), (jordan, False)):
        shows(visitor.stored, "taylor", "Mine")
        mark = visitor.comments.get_by_text("You", exact=True)
        expect(mark).to_have_count(1 if is_own else 0)


def test_a_comment_that_is_not_stored_has_no_mark(
    stack: Stack, momento: Callable[[str], None], course: str, visit: Visit
) -> None:
    taylor = visit()
    taylor.join("taylor", course)
    momento("fail?rpcs=list-push-front&error=permission-denied")
    taylor.publish("Refused later")
    shows(taylor.comments, "taylor", "Refused later")
    momento("clear-faults")
    publish_as(stack, "jordan", course, "Stored")
    shows(taylor.stored, "jordan", "Stored")
    expect(taylor.comments).to_contain_text(["Stored", "Refused later"])


def test_a_short_outage_without_comments_is_not_mentioned(stack: Stack, course: str, visit: Visit) -> None:
    taylor = visit()
    taylor.join("taylor", course)
    taylor.provokes_problems_with(momento_address(stack))
    taylor.page.context.set_offline(True)
    expect(taylor.status).to_have_text("Reconnecting…")
    taylor.page.context.set_offline(False)
    expect(taylor.status).to_have_text("Live")
    publish_as(stack, "jordan", course, "Next")
    shows(taylor.stored, "jordan", "Next")
    expect(taylor.page.get_by_text("may not have arrived")).to_have_count(0)
    expect(taylor.alert).to_be_hidden()


def test_a_comment_is_announced_once(stack: Stack, course: str, visit: Visit) -> None:
    """The list itself is not a live region, because screen readers would read out stored comments too."""
    taylor = visit(clock=True)
    taylor.join("taylor", course)
    announcer = taylor.page.locator("[aria-live=polite]")
    # A comment that comes in the first second may be an old one.
    taylor.page.clock.fast_forward("00:02")
    taylor.publish("Mine")
    expect(announcer).to_have_text("Sent.")
    publish_as(stack, "jordan", course, "Hear this")
    expect(announcer).to_have_text("jordan: Hear this")


def test_the_page_uses_no_technical_terms(course: str, visit: Visit) -> None:
    taylor = visit()
    texts = [taylor.page.locator("body").inner_text()]
    taylor.join("taylor", course)
    texts.append(taylor.page.locator("body").inner_text())
    for term in ("token", "webhook", "cache", "topic"):
        assert all(term not in text.lower() for text in texts), term
