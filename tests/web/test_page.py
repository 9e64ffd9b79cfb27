"""What people see and do at the page."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlsplit

import pytest
from momento import TopicClient, TopicConfigurations
from playwright.sync_api import Locator, expect

from tests.support.running_stack import Stack

from .conftest import Visit, Visitor

PHONE = {"width": 360, "height": 740}


def password(stack: Stack, username: str) -> str:
    return next(str(user["password"]) for user in stack.facts["users"] if user["username"] == username)


def momento_address(stack: Stack) -> str:
    """Return what the addresses of Momento for the tabs of a browser have in common."""
    return f".localhost:{urlsplit(stack.facts['momento']['web_url']).port}"


def publish_as(stack: Stack, username: str, course: str, text: str) -> None:
    event = {"userId": username, "courseId": course, "comment": text}
    assert stack.invoke("PublisherFunction", event) == {"published": 1, "failed": []}


def shows(comments: Locator, username: str, text: str) -> None:
    """One of these comments says this under this name."""
    comment = comments.filter(has_text=text)
    expect(comment).to_have_count(1)
    expect(comment).to_contain_text(username)


def tab_to(visitor: Visitor, control: Locator) -> None:
    for _ in range(30):
        visitor.page.keyboard.press("Tab")
        if control.evaluate("control => control === document.activeElement"):
            return
    pytest.fail(f"Tab does not lead to {control}")


def controls(visitor: Visitor) -> list[tuple[str, str]]:
    """Role and accessible name of what can be operated, as the browser tells assistive technology."""
    session = visitor.page.context.new_cdp_session(visitor.page)
    nodes: list[dict[str, Any]] = session.send("Accessibility.getFullAXTree")["nodes"]
    roles = {"button", "checkbox", "combobox", "link", "searchbox", "spinbutton", "textbox"}
    return [
        (node["role"]["value"], node["name"]["value"])
        for node in nodes
        if not node["ignored"] and node["role"]["value"] in roles
    ]


def test_two_people_see_each_others_comments(stack: Stack, course: str, visit: Visit) -> None:
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


def test_a_service_s_comment_is_seen_too(stack: Stack, course: str, visit: Visit) -> None:
    taylor = visit()
    taylor.join("taylor", course)
    publish_as(stack, "riley", course, "From a service")
    shows(taylor.stored, "riley", "From a service")


def test_the_page_s_token_is_for_its_topic_and_course_only(course: str, visit: Visit) -> None:
    taylor = visit()
    taylor.join("taylor", course)
    for forbidden in ("publish('another-topic', '{}')", "readList('another-course')"):
        code = taylor.page.evaluate(f"session.{forbidden}.then(() => 'done', (error) => error.code)")
        assert code == "PERMISSION_ERROR", forbidden


def test_a_refused_publish_is_said_and_not_lost(
    momento: Callable[[str], None], course: str, visit: Visit
) -> None:
    taylor = visit()
    taylor.join("taylor", course)
    momento("fail?rpcs=topic-publish&error=permission-denied&count=1")
    taylor.publish("May I?")
    expect(taylor.alert).to_contain_text("Not sent")
    expect(taylor.comment).to_have_value("May I?")
    taylor.button("Publish")
    shows(taylor.comments, "taylor", "May I?")
    expect(taylor.alert).to_be_hidden()


def test_what_is_typed_during_a_publish_is_kept(
    momento: Callable[[str], None], course: str, visit: Visit
) -> None:
    taylor = visit()
    taylor.join("taylor", course)
    momento("delay?rpcs=topic-publish&ms=1500&count=1")
    taylor.publish("The first")
    publish = taylor.page.get_by_role("button", name="Publish", exact=True)
    expect(publish).to_have_attribute("aria-disabled", "true")
    taylor.comment.fill("The second")
    shows(taylor.comments, "taylor", "The first")
    expect(publish).not_to_have_attribute("aria-disabled", "true")
    expect(taylor.comment).to_have_value("The second")
    taylor.button("Publish")
    shows(taylor.stored, "taylor", "The second")
    expect(taylor.comment).to_have_value("")


def test_the_page_goes_on_when_the_topic_counts_anew(
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


def test_the_page_comes_back_when_momento_does(
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


def test_what_is_published_while_the_device_is_offline_is_seen_later(
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


def test_who_stays_for_hours_stays_signed_in(course: str, visit: Visit) -> None:
    taylor = visit(clock=True)
    taylor.join("taylor", course)
    # Now the next stream has a position to begin after. Without one, what comes before it opens is missed.
    taylor.publish("Good evening")
    shows(taylor.comments, "taylor", "Good evening")
    with taylor.page.expect_response(lambda one: "REFRESH_TOKEN" in (one.request.post_data or "")) as renewal:
        taylor.page.clock.fast_forward("02:00:00")
    assert renewal.value.ok
    taylor.page.clock.set_system_time(datetime.now(UTC))
    taylor.publish("Still here")
    shows(taylor.comments, "taylor", "Still here")
    expect(taylor.status).to_have_text("Live")


def test_who_is_signed_out_elsewhere_signs_in_again(stack: Stack, course: str, visit: Visit) -> None:
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


def test_a_wrong_password_is_said(stack: Stack, visit: Visit) -> None:
    someone = visit()
    someone.provokes_problems_with(stack.facts["aws_endpoint_url"])
    someone.sign_in("taylor", "a guess")
    expect(someone.alert).to_contain_text("password")
    expect(someone.page.get_by_text("Signed in as")).to_be_hidden()
    someone.sign_in("taylor", password(stack, "taylor"))
    expect(someone.page.get_by_text("Signed in as taylor")).to_be_visible()
    expect(someone.alert).to_be_hidden()


def test_who_signs_out_is_gone(course: str, visit: Visit) -> None:
    taylor = visit()
    taylor.join("taylor", course)
    taylor.publish("For others only")
    shows(taylor.stored, "taylor", "For others only")
    taylor.button("Sign out")
    expect(taylor.status).to_have_text("Signed out")
    expect(taylor.page.get_by_text("For others only")).to_have_count(0)
    taylor.page.reload()
    expect(taylor.user_name).to_be_visible()


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


def test_other_courses_and_what_is_no_comment_are_passed_over(
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


def test_the_keyboard_is_enough(stack: Stack, course: str, visit: Visit) -> None:
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


@pytest.mark.parametrize(
    ("name", "context"),
    [("phone", {"viewport": PHONE}), ("dark", {"color_scheme": "dark"})],
    ids=["phone", "dark"],
)
def test_everything_has_a_name_and_fits(
    name: str, context: dict[str, Any], stack: Stack, course: str, visit: Visit
) -> None:
    taylor = visit(**context)
    shown = controls(taylor)
    taylor.screenshot(f"{name}-signed-out")
    taylor.join("taylor", course)
    publish_as(stack, "jordan", course, f"A long one: {'word ' * 40}{'x' * 200}")
    taylor.publish("A short one")
    expect(taylor.stored).to_have_count(2)
    expect(taylor.comments).to_have_count(2)
    shown += controls(taylor)
    taylor.screenshot(name)
    assert all(label.strip() for _, label in shown), shown
    assert {("button", "Sign in"), ("button", "Publish"), ("textbox", "Your comment")} <= set(shown)
    assert taylor.page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")


# Where the text of an element begins and ends on the screen, beside its item of the list.
EXTENT = """(element) => {
    const range = document.createRange();
    range.selectNodeContents(element);
    const { left, right } = range.getBoundingClientRect();
    const item = element.closest('li').getBoundingClientRect();
    return { left: left - item.left, right: item.right - right };
}"""


def test_right_to_left_scripts_keep_to_themselves(stack: Stack, course: str, visit: Visit) -> None:
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
        # Everybody's name is at the left and the time at the right, whatever the name's script.
        assert name_extent["left"] == pytest.approx(0, abs=1), name
        assert time_extent["right"] == pytest.approx(0, abs=1), name
        starts_at_right = any("\u0590" <= letter <= "\u06ff" for letter in text)
        assert (text_extent["right"] < 1) == starts_at_right, text
        assert (text_extent["left"] < 1) == (text.isascii() or "\n" in text), text
    taylor.screenshot("right-to-left")
