"""The page while its connection to Momento breaks, hangs or is refused."""

from __future__ import annotations

import base64
import contextlib
import itertools
import json
import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest
from momento import TopicClient, TopicConfigurations
from momento_wire_types import cachepubsub_pb2 as pubsub
from playwright.sync_api import Route, expect

from tests.support.page import RECORD, RECORDED, publish_as, shows
from tests.support.running_stack import Stack, published
from tests.support.visitor import Visit, Visitor

from .momento_proxy import MomentoProxy

PUBLISH = b"POST /cache_client.pubsub.Pubsub/Publish"


def iso(milliseconds: int) -> str:
    """Return a time as the page writes it."""
    text = datetime.fromtimestamp(milliseconds / 1000, UTC).isoformat(timespec="milliseconds")
    return text.replace("+00:00", "Z")


def appears_once(visitor: Visitor, text: str) -> None:
    """Expect one comment with this text, which is stored, and no alert."""
    # It arrives after a repeat would.
    visitor.publish("The next one")
    expect(visitor.stored.first).to_contain_text("The next one")
    expect(visitor.comments.filter(has_text=text)).to_have_count(1)
    expect(visitor.alert).to_be_hidden()
    expect(visitor.stored.filter(has_text=text)).to_have_count(1)


def test_a_comment_appears_once_although_momento_reports_an_error_after_publishing_it(
    momento: Callable[[str], None], course: str, visit: Visit
) -> None:
    taylor = visit()
    taylor.join("taylor", course)
    momento("fail?rpcs=topic-publish&error=internal&when=after&count=1")
    taylor.publish("Once")
    expect(taylor.comment).to_have_value("")
    appears_once(taylor, "Once")


def test_a_comment_appears_once_although_its_connection_breaks(
    proxy: MomentoProxy, course: str, visit: Visit
) -> None:
    taylor = visit(momento_endpoint=proxy.url)
    taylor.provokes_problems_with(proxy.url)
    taylor.join("taylor", course)
    # After the first request on a connection, the browser itself may repeat a request that breaks.
    for text in ("First", "Second"):
        answer_is_lost = proxy.lose_answer_to(PUBLISH)
        taylor.publish(text)
        expect(taylor.comment).to_have_value("")
        assert answer_is_lost.wait(15)
        appears_once(taylor, text)


def test_a_comment_that_the_user_publishes_again_keeps_its_id(
    momento: Callable[[str], None], course: str, visit: Visit
) -> None:
    taylor = visit()
    taylor.join("taylor", course)
    bodies: list[str] = []
    taylor.page.on(
        "request", lambda one: bodies.append(one.post_data or "") if "Publish" in one.url else None
    )
    momento("fail?rpcs=topic-publish&error=internal")
    taylor.publish("Again")
    expect(taylor.alert).to_contain_text("nobody knows whether the comment is out")
    expect(taylor.comment).to_have_value("Again")
    momento("clear-faults")
    taylor.button("Publish")
    expect(taylor.comment).to_have_value("")
    appears_once(taylor, "Again")
    texts = [base64.b64decode(body).decode(errors="replace") for body in bodies]
    ids = {found[1] for text in texts if '"Again"' in text and (found := re.search(r'"id":"(.+?)"', text))}
    assert len(ids) == 1
    assert len(texts) > 3


def test_a_repeated_id_is_a_repeat_only_if_the_publisher_is_the_same(
    stack: Stack, course: str, visit: Visit
) -> None:
    taylor = visit()
    taylor.join("taylor", course)
    tokens = {name: stack.token(stack.jwt(name)).json["authToken"] for name in ("jordan", "taylor")}
    for name, comment in (("jordan", "Original"), ("taylor", "Same id"), ("jordan", "Original")):
        message = {"courseId": course, "comment": comment, "id": "one-and-the-same"}
        published(stack.publish(tokens[name], json.dumps(message)))
    for comment in ("Without id", "Without id"):
        published(stack.publish(tokens["jordan"], json.dumps({"courseId": course, "comment": comment})))
    expect(taylor.comments.locator(".text")).to_have_text(
        ["Without id", "Without id", "Same id", "Original"], use_inner_text=True
    )
    shows(taylor.comments, "taylor", "Same id")


@pytest.mark.parametrize("begins_with", ["new messages", "messages held"])
def test_a_comment_from_before_the_subscription_is_not_shown_as_new(
    begins_with: str, stack: Stack, course: str, visit: Visit
) -> None:
    """Momento's protocol does not say which of the two a subscription without a number begins with."""
    publish_as(stack, "jordan", course, "Long ago")
    stack.wait_for_entries(course, 1)
    taylor = visit()

    def begin_with_messages_held(route: Route) -> None:
        frame = base64.b64decode(route.request.post_data or "")
        request = pubsub._SubscriptionRequest.FromString(frame[5:])
        if not request.resume_at_topic_sequence_number:
            request.resume_at_topic_sequence_number = 1
        message = request.SerializeToString()
        header = b"\0" + len(message).to_bytes(4, "big")
        route.continue_(post_data=base64.b64encode(header + message))

    if begins_with == "messages held":
        taylor.page.route("**/Subscribe", begin_with_messages_held)
    taylor.join("taylor", course)
    shows(taylor.stored, "jordan", "Long ago")
    publish_as(stack, "jordan", course, "Just now")
    shows(taylor.stored, "jordan", "Just now")
    expect(taylor.comments).to_contain_text(["Just now", "Long ago"])
    for entry in stack.entries(course):
        time = taylor.comments.filter(has_text=entry["comment"]).get_by_role("time")
        expect(time).to_have_attribute("datetime", iso(entry["publishedAt"]))
    expect(taylor.page.locator("li.new", has_text="Long ago")).to_have_count(0)


def test_a_missed_comment_has_the_time_at_which_it_was_published(
    stack: Stack, proxy: MomentoProxy, course: str, visit: Visit
) -> None:
    taylor = visit(clock=True, momento_endpoint=proxy.url)
    taylor.provokes_problems_with(proxy.url)
    taylor.join("taylor", course)
    taylor.publish("Good evening")
    shows(taylor.stored, "taylor", "Good evening")
    proxy.hang()
    publish_as(stack, "jordan", course, "Meanwhile")
    entry = stack.wait_for_entries(course, 2)[0]
    taylor.page.clock.set_system_time(datetime.now(UTC) + timedelta(minutes=2))
    expect(taylor.status).to_have_text("Reconnecting…")
    proxy.heal()
    shows(taylor.comments, "jordan", "Meanwhile")
    time = taylor.comments.filter(has_text="Meanwhile").get_by_role("time")
    expect(time).to_have_attribute("datetime", iso(entry["publishedAt"]))


def test_the_page_is_live_again_after_a_sleep_that_its_token_did_not_outlive(
    stack: Stack, proxy: MomentoProxy, course: str, visit: Visit
) -> None:
    taylor = visit(clock=True, momento_endpoint=proxy.url)
    taylor.provokes_problems_with(proxy.url)
    taylor.join("taylor", course)
    taylor.publish("Good night")
    shows(taylor.comments, "taylor", "Good night")
    taylor.status.evaluate(RECORD)
    # During sleep the clock goes on, timers stop, and connections break unnoticed.
    proxy.hang()
    publish_as(stack, "jordan", course, "While you slept")
    taylor.page.clock.set_system_time(datetime.now(UTC) + timedelta(hours=2))
    expect(taylor.status).to_have_text("Reconnecting…")
    proxy.heal()
    shows(taylor.comments, "jordan", "While you slept")
    expect(taylor.status).to_have_text("Live")
    assert taylor.status.evaluate(RECORDED) == ["Reconnecting…", "Live"]
    taylor.page.clock.set_system_time(datetime.now(UTC))
    publish_as(stack, "jordan", course, "Good morning")
    shows(taylor.comments, "jordan", "Good morning")


def test_a_stream_that_falls_silent_is_replaced_each_time(
    stack: Stack, proxy: MomentoProxy, course: str, visit: Visit
) -> None:
    taylor = visit(clock=True, momento_endpoint=proxy.url)
    taylor.provokes_problems_with(proxy.url)
    taylor.join("taylor", course)
    minutes = itertools.count(1)
    for silence in (1, 2):
        proxy.hang()
        # Something from before the silence may be read only after the leap of the clock. Then leap again.
        while taylor.status.inner_text() != "Reconnecting…":
            taylor.page.clock.set_system_time(datetime.now(UTC) + timedelta(minutes=next(minutes)))
            with contextlib.suppress(AssertionError):
                expect(taylor.status).to_have_text("Reconnecting…", timeout=5000)
        publish_as(stack, "jordan", course, f"Silence {silence}")
        proxy.heal()
        expect(taylor.status).to_have_text("Live")
        publish_as(stack, "jordan", course, f"Heard {silence}")
        shows(taylor.comments, "jordan", f"Heard {silence}")


@pytest.mark.parametrize(
    ("error", "explanation"), [("resource-exhausted", "limit"), ("unavailable", "cannot be reached")]
)
def test_the_page_shows_why_momento_refuses_a_subscription(
    error: str, explanation: str, momento: Callable[[str], None], visit: Visit
) -> None:
    momento(f"fail?rpcs=topic-subscribe&error={error}")
    taylor = visit()
    taylor.sign_in_as_sample_user("taylor")
    expect(taylor.alert).to_contain_text(explanation)
    expect(taylor.alert).to_contain_text("Injected fault")
    expect(taylor.status).to_have_text("Connecting…")
    momento("clear-faults")
    expect(taylor.status).to_have_text("Live")
    expect(taylor.alert).to_be_hidden()


def test_the_page_shows_why_momento_refuses_a_later_subscription(
    momento: Callable[[str], None], course: str, visit: Visit, proxy: MomentoProxy
) -> None:
    taylor = visit(clock=True, momento_endpoint=proxy.url)
    taylor.provokes_problems_with(proxy.url)
    taylor.join("taylor", course)
    momento("fail?rpcs=topic-subscribe&error=resource-exhausted")
    proxy.hang()
    taylor.page.clock.set_system_time(datetime.now(UTC) + timedelta(seconds=30))
    expect(taylor.status).to_have_text("Reconnecting…")
    proxy.heal()
    expect(taylor.alert).to_contain_text("limit")
    momento("clear-faults")
    expect(taylor.status).to_have_text("Live")
    expect(taylor.alert).to_be_hidden()


@pytest.mark.parametrize("days", [-1, 1])
def test_the_page_works_on_a_device_with_a_wrong_clock(
    days: int, stack: Stack, course: str, visit: Visit
) -> None:
    taylor = visit(clock=True)
    taylor.page.clock.set_system_time(datetime.now(UTC) + timedelta(days=days))
    taylor.join("taylor", course)
    taylor.publish("What time is it?")
    shows(taylor.stored, "taylor", "What time is it?")
    publish_as(stack, "jordan", course, "Look at the tower")
    shows(taylor.stored, "jordan", "Look at the tower")
    expect(taylor.status).to_have_text("Live")
    expect(taylor.alert).to_be_hidden()


def test_the_page_is_live_only_while_all_its_topics_are(
    stack: Stack, proxy: MomentoProxy, course: str, visit: Visit
) -> None:
    taylor = visit(clock=True, momento_endpoint=proxy.url)
    taylor.provokes_problems_with(proxy.url)
    taylor.join("taylor", course)
    taylor.page.evaluate("""() => {
        window.heard = [];
        const onMessage = ({ text }) => heard.push(text);
        window.unsubscribe = session.subscribe('poll-results', { onMessage });
    }""")
    expect(taylor.status).to_have_text("Live")

    def published_is_heard(text: str) -> None:
        with TopicClient(TopicConfigurations.Default.latest(), stack.credentials()) as client:
            client.publish(stack.facts["cache"], "poll-results", text)
        taylor.page.wait_for_function("(text) => heard.includes(text)", arg=text)
        publish_as(stack, "jordan", course, text)
        shows(taylor.stored, "jordan", text)

    published_is_heard("Before")
    proxy.hang()
    taylor.page.clock.set_system_time(datetime.now(UTC) + timedelta(seconds=30))
    expect(taylor.status).to_have_text("Reconnecting…")
    proxy.heal()
    expect(taylor.status).to_have_text("Live")
    published_is_heard("After")
    assert taylor.page.evaluate("heard") == ["Before", "After"]
    # The page does not wait for a topic that it no longer subscribes to.
    proxy.hang()
    taylor.page.evaluate("unsubscribe()")
    proxy.heal()
    expect(taylor.status).to_have_text("Live")


def test_seven_tabs_of_one_browser_are_live(course: str, visit: Visit) -> None:
    """A browser keeps at most six connections to one host over HTTP/1.1."""
    first = visit()
    first.join("taylor", course)
    tabs = [first]
    for _ in range(6):
        tab = Visitor(first.page.context.new_page())
        tab.page.goto(first.page.url)
        tab.join("taylor", course)
        tabs.append(tab)
    first.publish("To all tabs")
    for tab in tabs:
        shows(tab.comments, "taylor", "To all tabs")
    assert [tab.problems for tab in tabs] == [[]] * len(tabs)
