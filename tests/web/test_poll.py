"""A poll on the page: each user has one vote, and all see the same bars."""

from __future__ import annotations

import re
import uuid
from typing import Any

import pytest
from playwright.sync_api import Locator, expect

from local.poll import close_poll, local_place, open_poll
from local.stack.facts import StackFacts
from tests.support.page import PHONE, finds_nothing, momento_address, tab_to
from tests.support.running_stack import Stack
from tests.support.visitor import Visit, Visitor

QUESTION = "Do plants breathe at night?"
CHOICES = ("Yes", "No", "Only on Sundays")


@pytest.fixture
def poll(stack: Stack) -> str:
    """Return the id of an open poll."""
    poll_id = uuid.uuid4().hex[:8]
    open_poll(local_place(StackFacts.read(stack.state_dir)), poll_id, QUESTION, CHOICES)
    return poll_id


def choice(visitor: Visitor, name: str) -> Locator:
    return visitor.page.get_by_role("button", name=re.compile(f"^{name}"))


def join_poll(visit: Visit, username: str, poll: str, **context: Any) -> Visitor:
    """Follow a link to the poll, and sign in."""
    visitor = visit(path=f"/?tab=poll&poll={poll}", **context)
    visitor.sign_in_as_sample_user(username)
    expect(visitor.page.get_by_role("heading", name=QUESTION)).to_be_visible()
    expect(visitor.status).to_have_text("Live")
    return visitor


def sees(visitor: Visitor, **votes: int) -> None:
    """Expect these numbers of votes, and bars as long as their shares."""
    total = sum(votes.values())
    for name, count in votes.items():
        share = round(100 * count / total) if total else 0
        noun = "vote" if count == 1 else "votes"
        expect(choice(visitor, name)).to_contain_text(f"{count} {noun} ({share} %)")
        bar = choice(visitor, name).locator(".bar-of-votes")
        expect(bar).to_have_attribute("style", re.compile(rf"inline-size: {share}[.%]"))


def test_two_users_vote_and_change_their_vote_and_see_the_same_tally(poll: str, visit: Visit) -> None:
    taylor = join_poll(visit, "taylor", poll)
    jordan = join_poll(visit, "jordan", poll, viewport={"width": 1000, "height": 640})
    for visitor in (taylor, jordan):
        sees(visitor, Yes=0, No=0)
    choice(taylor, "Yes").click()
    for visitor in (taylor, jordan):
        sees(visitor, Yes=1, No=0)
    choice(jordan, "Yes").click()
    for visitor in (taylor, jordan):
        sees(visitor, Yes=2, No=0)
    choice(jordan, "No").click()
    for visitor in (taylor, jordan):
        sees(visitor, Yes=1, No=1)
    expect(choice(jordan, "No")).to_have_attribute("aria-pressed", "true")
    expect(choice(jordan, "Yes")).to_have_attribute("aria-pressed", "false")
    jordan.screenshot("poll")
    choice(taylor, "No").click()
    for visitor in (taylor, jordan):
        sees(visitor, Yes=0, No=2)


def test_a_reload_keeps_the_poll_and_the_users_choice(poll: str, visit: Visit) -> None:
    taylor = join_poll(visit, "taylor", poll)
    choice(taylor, "Yes").click()
    sees(taylor, Yes=1)
    taylor.page.reload()
    expect(taylor.tab("Poll")).to_have_attribute("aria-selected", "true")
    sees(taylor, Yes=1)
    expect(choice(taylor, "Yes")).to_have_attribute("aria-pressed", "true")


def test_a_vote_after_the_poll_has_closed_is_not_counted(stack: Stack, poll: str, visit: Visit) -> None:
    taylor = join_poll(visit, "taylor", poll)
    close_poll(local_place(StackFacts.read(stack.state_dir)), poll)
    choice(taylor, "Yes").click()
    expect(taylor.page.get_by_text("This poll is closed")).to_be_visible()
    sees(taylor, Yes=0, No=0)
    expect(choice(taylor, "Yes")).to_have_attribute("aria-pressed", "false")
    expect(choice(taylor, "No")).to_have_attribute("aria-disabled", "true")


def test_the_page_says_that_a_poll_does_not_exist(visit: Visit) -> None:
    taylor = visit(path="/?tab=poll&poll=none")
    taylor.sign_in_as_sample_user("taylor")
    expect(taylor.page.get_by_text("There is no such poll.")).to_be_visible()


def test_a_vote_without_a_network_shows_an_error_beside_the_choices(
    stack: Stack, poll: str, visit: Visit
) -> None:
    taylor = join_poll(visit, "taylor", poll, viewport=PHONE)
    taylor.provokes_problems_with(momento_address(stack))
    taylor.page.context.set_offline(True)
    choice(taylor, "Yes").click()
    expect(taylor.alert).to_contain_text("offline")
    expect(taylor.alert).to_be_in_viewport(ratio=1)
    expect(choice(taylor, "Yes")).to_have_attribute("aria-pressed", "false")
    taylor.page.context.set_offline(False)
    expect(taylor.alert).to_be_hidden()
    expect(taylor.status).to_have_text("Live")
    choice(taylor, "Yes").click()
    sees(taylor, Yes=1)


def test_votes_from_an_outage_appear_after_it(stack: Stack, poll: str, visit: Visit) -> None:
    taylor = join_poll(visit, "taylor", poll)
    taylor.provokes_problems_with(momento_address(stack))
    taylor.page.context.set_offline(True)
    expect(taylor.status).to_have_text("Reconnecting…")
    event = {"userId": "riley", "topic": "poll", "message": {"pollId": poll, "choice": "No"}}
    assert stack.invoke("PublisherFunction", event) == {"published": 1, "failed": []}
    taylor.page.context.set_offline(False)
    sees(taylor, No=1)


def test_only_the_webhook_can_publish_results(poll: str, visit: Visit) -> None:
    taylor = join_poll(visit, "taylor", poll)
    code = "(error) => error.code"
    for call in (
        "publish('poll-results', '{}')",
        f"read('poll::standing:{poll}')",
        f"read('poll::votes:{poll}:jordan')",
        "read('poll:another:tally')",
    ):
        assert taylor.page.evaluate(f"session.{call}.then(() => 'done', {code})") == "PERMISSION_ERROR", call


def test_users_can_vote_by_keyboard_alone_and_axe_finds_nothing(poll: str, visit: Visit) -> None:
    taylor = visit(viewport=PHONE, reduced_motion="reduce")
    taylor.sign_in_as_sample_user("taylor")
    keyboard = taylor.page.keyboard
    tab_to(taylor, taylor.tab("Comments"))
    keyboard.press("ArrowRight")
    expect(taylor.tab("Poll")).to_be_focused()
    taylor.change_id("Poll", poll)
    tab_to(taylor, choice(taylor, "No"))
    keyboard.press("Enter")
    sees(taylor, Yes=0, No=1)
    expect(taylor.page.locator("[aria-live=polite]")).to_have_text("You have voted for No.")
    finds_nothing(taylor)
    taylor.screenshot("poll-phone")
    assert taylor.page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
