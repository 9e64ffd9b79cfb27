"""What users see and do at the page."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest
from momento import TopicClient, TopicConfigurations
from playwright.sync_api import Request, Route, expect

from tests.support.page import PHONE, momento_address, password, publish_as, shows, tab_to
from tests.support.running_stack import Stack
from tests.support.visitor import Visit, Visitor

# The part of the page with the SDK, which loads while the user signs in.
SESSION_SCRIPT = "**/assets/momento-*.js"


def is_renewal(request: Request) -> bool:
    """Return whether this request renews the sign-in at Cognito."""
    return "REFRESH_TOKEN" in (request.post_data or "")


def controls(visitor: Visitor) -> list[tuple[str, str]]:
    """Return role and accessible name of each control, as the browser gives them to assistive technology."""
    session = visitor.page.context.new_cdp_session(visitor.page)
    nodes: list[dict[str, Any]] = session.send("Accessibility.getFullAXTree")["nodes"]
    roles = {"button", "checkbox", "combobox", "link", "searchbox", "spinbutton", "textbox"}
    return [
        (node["role"]["value"], node["name"]["value"])
        for node in nodes
        if not node["ignored"] and node["role"]["value"] in roles
    ]


def test_two_users_see_each_others_comments(stack: Stack, course: str, visit: Visit) -> None:
    comments = {"taylor": "Do plants breathe at night?", "jordan": "They do, and by day as well."}
    people = {name: visit(viewport={"width": 1280, "height": 640}) for name in comments}
    for name, visitor in people.items():
        visitor.join(name, course)
    for name, text in comments.items():
        people[name].publish(text)
        for reader in people.values():
            shows(reader.stored, name, text)
    assert [(entry["userID"], entry["comment"]) for entry in stack.entries(course)] == [
        ("jordan", comments["jordan"]),
        ("taylor", comments["taylor"]),
    ]
    people["taylor"].screenshot("desktop")


def test_the_focus_stays_where_the_user_types_while_a_part_of_the_page_loads(visit: Visit) -> None:
    taylor = visit()
    held: list[Route] = []

    def hold(route: Route) -> None:
        held.append(route)

    taylor.page.route(SESSION_SCRIPT, hold)
    with taylor.page.expect_request(SESSION_SCRIPT):
        taylor.page.reload()
    taylor.sign_in_as_sample_user("taylor")
    taylor.course.fill("another")
    held[0].continue_()
    expect(taylor.status).to_have_text("Live")
    expect(taylor.course).to_be_focused()
    expect(taylor.course).to_have_value("another")


def test_the_token_permits_only_the_topics_and_the_course_of_the_page(course: str, visit: Visit) -> None:
    taylor = visit()
    taylor.join("taylor", course)
    for forbidden in ("publish('another-topic', '{}')", "readList('another-course')"):
        code = taylor.page.evaluate(f"session.{forbidden}.then(() => 'done', (error) => error.code)")
        assert code == "PERMISSION_ERROR", forbidden


def test_a_publish_leaves_alone_what_the_user_does_meanwhile(
    momento: Callable[[str], None], course: str, visit: Visit
) -> None:
    taylor = visit()
    taylor.join("taylor", course)
    momento("delay?rpcs=topic-publish&ms=1500&count=1")
    taylor.publish("The first")
    publish = taylor.page.get_by_role("button", name="Publish", exact=True)
    expect(publish).to_have_attribute("aria-disabled", "true")
    expect(taylor.comment).to_be_focused()
    taylor.comment.fill("The second")
    taylor.course.focus()
    shows(taylor.comments, "taylor", "The first")
    expect(publish).not_to_have_attribute("aria-disabled", "true")
    expect(taylor.course).to_be_focused()
    expect(taylor.comment).to_have_value("The second")
    taylor.button("Publish")
    shows(taylor.stored, "taylor", "The second")
    expect(taylor.comment).to_have_value("")


def test_the_page_goes_on_when_the_topic_counts_from_the_start_again(
    stack: Stack, momento: Callable[[str], None], course: str, visit: Visit
) -> None:
    taylor = visit()
    taylor.join("taylor", course)
    publish_as(stack, "jordan", course, "Before")
    shows(taylor.stored, "jordan", "Before")
    momento(f"reset-topic?cache={stack.facts['cache']}&topic={stack.facts['topic']}")
    for text in ("After", "Later"):
        publish_as(stack, "jordan", course, text)
        shows(taylor.stored, "jordan", text)
    expect(taylor.comments).to_contain_text(["Later", "After", "Before"])
    expect(taylor.status).to_have_text("Live")
    expect(taylor.alert).to_be_hidden()


def test_the_page_is_live_again_after_an_outage_of_momento(
    stack: Stack, momento: Callable[[str], None], course: str, visit: Visit
) -> None:
    taylor = visit()
    taylor.join("taylor", course)
    publish_as(stack, "jordan", course, "Before")
    shows(taylor.comments, "jordan", "Before")
    taylor.provokes_problems_with(momento_address(stack))
    momento("block")
    expect(taylor.status).to_have_text("Reconnecting…")
    momento("unblock")
    publish_as(stack, "jordan", course, "Meanwhile")
    expect(taylor.status).to_have_text("Live")
    publish_as(stack, "jordan", course, "After")
    for text in ("Before", "Meanwhile", "After"):
        shows(taylor.stored, "jordan", text)


def test_comments_published_while_the_device_is_offline_appear_later(
    stack: Stack, course: str, visit: Visit
) -> None:
    taylor = visit()
    taylor.join("taylor", course)
    publish_as(stack, "jordan", course, "Before")
    shows(taylor.comments, "jordan", "Before")
    taylor.provokes_problems_with(momento_address(stack))
    taylor.page.context.set_offline(True)
    expect(taylor.status).to_have_text("Reconnecting…")
    for text in ("one", "two", "three"):
        publish_as(stack, "jordan", course, f"Meanwhile {text}")
    taylor.publish("From a tunnel")
    expect(taylor.alert).to_contain_text("offline")
    expect(taylor.comments).to_have_count(1)
    taylor.page.context.set_offline(False)
    expect(taylor.status).to_have_text("Live")
    expect(taylor.comments).to_contain_text(["Meanwhile three", "Meanwhile two", "Meanwhile one", "Before"])
    taylor.button("Publish")
    shows(taylor.stored, "taylor", "From a tunnel")
    expect(taylor.stored).to_have_count(5)


def test_a_user_who_stays_for_hours_stays_signed_in_although_a_renewal_hangs(
    stack: Stack, course: str, visit: Visit
) -> None:
    taylor = visit(clock=True)
    taylor.join("taylor", course)
    # The next stream begins after this comment. Without one, it would miss what comes before it opens.
    taylor.publish("Good evening")
    shows(taylor.comments, "taylor", "Good evening")
    hanging: list[Route] = []

    def hold_first_renewal(route: Route) -> None:
        if not hanging and is_renewal(route.request):
            hanging.append(route)
        else:
            route.continue_()

    taylor.page.route(f"{stack.facts['aws_endpoint_url']}/**", hold_first_renewal)
    with taylor.page.expect_request(is_renewal):
        taylor.page.clock.fast_forward("02:00:00")
    with taylor.page.expect_response(lambda response: is_renewal(response.request)) as renewal:
        taylor.page.clock.fast_forward("01:00")
    assert renewal.value.ok
    taylor.page.clock.set_system_time(datetime.now(UTC))
    taylor.publish("Still here")
    shows(taylor.comments, "taylor", "Still here")
    expect(taylor.status).to_have_text("Live")


def test_a_user_who_is_signed_out_elsewhere_can_sign_in_again(
    stack: Stack, course: str, visit: Visit
) -> None:
    taylor = visit(clock=True)
    taylor.join("taylor", course)
    stack.aws("cognito-idp").admin_user_global_sign_out(
        UserPoolId=stack.facts["user_pool_id"], Username="taylor"
    )
    taylor.provokes_problems_with(stack.facts["aws_endpoint_url"])
    taylor.page.clock.fast_forward("02:00:00")
    expect(taylor.status).to_have_text("Sign in again")
    taylor.page.clock.set_system_time(datetime.now(UTC))
    taylor.sign_in("taylor", password(stack, "taylor"))
    expect(taylor.status).to_have_text("Live")
    taylor.publish("I am back")
    shows(taylor.stored, "taylor", "I am back")


def test_html_is_shown_as_the_text_it_is(stack: Stack, course: str, visit: Visit) -> None:
    taylor = visit()
    taylor.join("taylor", course)
    text, name = '<img src="none" onerror="document.title = 1"><b>bold</b>', "<i>riley</i>"
    taylor.publish(text)
    publish_as(stack, name, course, f"{text} too")
    shows(taylor.stored, name, f"{text} too")
    expect(taylor.comments.filter(has_text=text)).to_have_count(2)
    expect(taylor.comments.locator("img, b, i")).to_have_count(0)
    assert taylor.page.title() != "1"


def test_the_page_ignores_other_courses_and_messages_that_are_no_comments(
    stack: Stack, course: str, visit: Visit
) -> None:
    taylor = visit()
    taylor.join("taylor", course)
    with TopicClient(TopicConfigurations.Default.latest(), stack.credentials()) as client:
        for message in ("no JSON", "[]", json.dumps({"courseId": course})):
            client.publish(stack.facts["cache"], stack.facts["topic"], message)
    publish_as(stack, "jordan", f"{course}-other", "For others")
    publish_as(stack, "jordan", course, "Here")
    shows(taylor.comments, "jordan", "Here")
    expect(taylor.comments).to_have_count(1)


def test_the_page_can_be_used_by_keyboard_alone(stack: Stack, course: str, visit: Visit) -> None:
    jordan = visit(viewport=PHONE)
    keyboard = jordan.page.keyboard
    tab_to(jordan, jordan.user_name)
    keyboard.type("jordan")
    tab_to(jordan, jordan.password)
    keyboard.type(password(stack, "jordan"))
    keyboard.press("Enter")
    expect(jordan.page.get_by_text("Signed in as jordan")).to_be_visible()
    tab_to(jordan, jordan.course)
    keyboard.press("ControlOrMeta+a")
    keyboard.type(course)
    keyboard.press("Enter")
    expect(jordan.status).to_have_text("Live")
    tab_to(jordan, jordan.comment)
    keyboard.type("By keyboard")
    tab_to(jordan, jordan.page.get_by_role("button", name="Publish", exact=True))
    keyboard.press("Enter")
    shows(jordan.stored, "jordan", "By keyboard")


def test_every_control_has_a_name_and_the_page_fits_a_phone(stack: Stack, course: str, visit: Visit) -> None:
    taylor = visit(viewport=PHONE)
    shown = controls(taylor)
    taylor.screenshot("phone-signed-out")
    taylor.join("taylor", course)
    publish_as(stack, "jordan", course, f"A long one: {'word ' * 40}{'x' * 200}")
    taylor.publish("A short one")
    expect(taylor.stored).to_have_count(2)
    expect(taylor.comments).to_have_count(2)
    shown += controls(taylor)
    taylor.screenshot("phone")
    assert all(label.strip() for _, label in shown), shown
    assert {("button", "Sign in"), ("button", "Publish"), ("textbox", "Your comment")} <= set(shown)
    assert taylor.page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")


# The distances of an element's text from the edges of its list item.
EXTENT = """(element) => {
    const range = document.createRange();
    range.selectNodeContents(element);
    const { left, right } = range.getBoundingClientRect();
    const item = element.closest('li').getBoundingClientRect();
    return { left: left - item.left, right: item.right - right };
}"""


def test_right_to_left_text_moves_nothing_around_it(stack: Stack, course: str, visit: Visit) -> None:
    comments = {
        "jordan": "Plain text (v1.2).",
        "سارة": "مرحبا، الدرس رقم 3 ممتاز (v1.2).",
        "דנה": "הקורס מצוין!",
        "x سارة": "First line\n שורה שנייה",
    }
    taylor = visit(viewport={"width": 900, "height": 900})
    taylor.join("taylor", course)
    for name, text in comments.items():
        publish_as(stack, name, course, text)
    expect(taylor.stored).to_have_count(len(comments))
    listed = taylor.comments
    for name, text in comments.items():
        item = listed.filter(has_text=text.splitlines()[-1])
        name_extent = item.locator("strong").evaluate(EXTENT)
        time_extent = item.locator(".when").evaluate(EXTENT)
        text_extent = item.locator(".text").evaluate(EXTENT)
        # The name is at the left and the time at the right, whatever the script of the name.
        assert name_extent["left"] == pytest.approx(0, abs=1), name
        assert time_extent["right"] == pytest.approx(0, abs=1), name
        starts_at_right = any("\u0590" <= letter <= "\u06ff" for letter in text)
        assert (text_extent["right"] < 1) == starts_at_right, text
        assert (text_extent["left"] < 1) == (text.isascii() or "\n" in text), text
    taylor.screenshot("right-to-left")
