"""The chat on the page: all users write and read in their own language."""

from __future__ import annotations

import uuid
from typing import Any

import pytest
from playwright.sync_api import Locator, expect

from tests.support.page import PHONE, finds_nothing, shows, tab_to
from tests.support.running_stack import Stack
from tests.support.visitor import Visit, Visitor


@pytest.fixture
def chat_room() -> str:
    return uuid.uuid4().hex[:8]


def join_room(visit: Visit, username: str, room: str, language: str, **context: Any) -> Visitor:
    """Follow a link to the room, and sign in."""
    visitor = visit(path=f"/?tab=chat&room={room}&language={language}", **context)
    visitor.sign_in_as_sample_user(username)
    expect(visitor.page.get_by_label("Your language")).to_have_value(language)
    expect(visitor.status).to_have_text("Live")
    return visitor


def send(visitor: Visitor, text: str) -> None:
    visitor.page.get_by_label("Your message").fill(text)
    visitor.button("Send")
    expect(visitor.page.get_by_label("Your message")).to_have_value("")


def messages(visitor: Visitor) -> Locator:
    return visitor.page.get_by_role("list", name="Messages").get_by_role("listitem")


def test_two_users_write_and_read_in_two_languages(chat_room: str, visit: Visit) -> None:
    taylor = join_room(visit, "taylor", chat_room, "en")
    jordan = join_room(visit, "jordan", chat_room, "de", viewport={"width": 1000, "height": 640})
    send(taylor, "Good morning")
    shows(messages(taylor), "taylor", "Good morning")
    shows(messages(jordan), "taylor", "[de] Good morning")
    send(jordan, "Guten Morgen")
    shows(messages(taylor), "jordan", "[en] Guten Morgen")
    shows(messages(jordan), "jordan", "Guten Morgen")
    for visitor in (taylor, jordan):
        expect(messages(visitor)).to_have_count(2)
        # Their own message is not translated.
        expect(messages(visitor).get_by_role("button", name="Original")).to_have_count(1)
        expect(messages(visitor).get_by_text("You", exact=True)).to_have_count(1)
    messages(jordan).get_by_role("button", name="Original in English").click()
    jordan.screenshot("chat")
    # Stored messages are in the reader's language, too.
    taylor.page.reload()
    shows(messages(taylor), "jordan", "[en] Guten Morgen")
    taylor.page.get_by_label("Your language").select_option("es")
    shows(messages(taylor), "jordan", "[es] Guten Morgen")
    shows(messages(taylor), "taylor", "[es] Good morning")
    assert f"room={chat_room}" in taylor.page.url
    assert "language=es" in taylor.page.url


def test_the_original_is_shown_by_hover_tap_and_keyboard(stack: Stack, chat_room: str, visit: Visit) -> None:
    event = {
        "userId": "riley",
        "topic": "chat",
        "message": {"room": chat_room, "language": "en", "text": "As I said it"},
    }
    jordan = join_room(visit, "jordan", chat_room, "de", viewport=PHONE, has_touch=True)
    assert stack.invoke("PublisherFunction", event) == {"published": 1, "failed": []}
    shows(messages(jordan), "riley", "[de] As I said it")
    button = messages(jordan).get_by_role("button", name="Original in English")
    original = messages(jordan).get_by_text("As I said it", exact=True)
    expect(original).to_be_hidden()
    expect(button).to_have_attribute("aria-expanded", "false")
    button.tap()
    expect(original).to_be_visible()
    expect(original).to_have_attribute("lang", "en")
    expect(button).to_have_attribute("aria-expanded", "true")
    button.tap()
    expect(original).to_be_hidden()
    button.hover()
    expect(original).to_be_visible()
    jordan.page.mouse.move(0, 0)
    expect(original).to_be_hidden()
    tab_to(jordan, button)
    jordan.page.keyboard.press("Enter")
    expect(original).to_be_visible()
    jordan.page.keyboard.press("Escape")
    expect(original).to_be_hidden()


def test_the_longest_message_reaches_all_users_and_a_longer_one_is_not_sent(
    chat_room: str, visit: Visit
) -> None:
    taylor = join_room(visit, "taylor", chat_room, "en")
    jordan = join_room(visit, "jordan", chat_room, "de")
    field = taylor.page.get_by_label("Your message")
    longest = "é" * 449
    field.fill(f"{longest}x")
    expect(taylor.alert).to_contain_text("Too long by 1 byte.")
    taylor.button("Send")
    expect(field).to_have_value(f"{longest}x")
    send(taylor, longest)
    shows(messages(jordan), "taylor", f"[de] {longest}")


def test_the_token_permits_only_the_messages_that_the_webhook_publishes(chat_room: str, visit: Visit) -> None:
    taylor = join_room(visit, "taylor", chat_room, "en")
    code = "(error) => error.code"
    for call in (
        f"publish('chat:{chat_room}:en', '{{}}')",
        f"readList('chat:{chat_room}x:en')",
        "readList('chat:another:en')",
    ):
        assert taylor.page.evaluate(f"session.{call}.then(() => 'done', {code})") == "PERMISSION_ERROR", call


def test_a_refused_room_is_shown_beside_the_field(stack: Stack, chat_room: str, visit: Visit) -> None:
    taylor = join_room(visit, "taylor", chat_room, "en")
    taylor.provokes_problems_with(stack.facts["token_url"])
    room = taylor.page.get_by_label("Room", exact=True)
    room.fill("a:b")
    room.press("Enter")
    expect(taylor.alert).to_contain_text("room")
    expect(room).to_have_value(chat_room)
    send(taylor, "Still here")
    shows(messages(taylor), "taylor", "Still here")


def test_tabs_share_one_sign_in_and_keep_their_drafts(course: str, chat_room: str, visit: Visit) -> None:
    taylor = visit(viewport=PHONE, reduced_motion="reduce")
    taylor.join("taylor", course)
    taylor.comment.fill("A comment")
    taylor.tab("Chat").click()
    taylor.change_id("Room", chat_room)
    taylor.page.get_by_label("Your message").fill("A message")
    taylor.tab("Comments").click()
    expect(taylor.course).to_have_value(course)
    taylor.button("Publish")
    shows(taylor.stored, "taylor", "A comment")
    taylor.tab("Chat").click()
    taylor.page.get_by_label("Your language").select_option("en")
    taylor.button("Send")
    shows(messages(taylor), "taylor", "A message")
    finds_nothing(taylor)
    taylor.screenshot("chat-phone")
    assert taylor.page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
