"""The page while its token, which lives for a minute here, is renewed."""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest
from playwright.sync_api import expect

from tests.support.running_stack import Stack

from .conftest import Visit

# Each thing that appears in an element, in order: the list of live comments itself keeps only so many.
RECORD = """(element) => {
    element.appeared = [];
    new MutationObserver((changes) => {
        const added = changes.flatMap((change) => [...change.addedNodes]);
        element.appeared.push(...added.map((node) => node.textContent));
    }).observe(element, { childList: true });
}"""
RECORDED = "(element) => element.appeared"


@pytest.fixture(scope="module")
def stack_arguments() -> tuple[str, ...]:
    return ("--parameter", "TokenLifetimeMinutes=1")


@contextmanager
def comments_all_the_time(stack: Stack, course: str) -> Iterator[list[str]]:
    """A service that publishes five comments a second; yields what it has published so far."""
    published: list[str] = []
    enough = threading.Event()

    def publish() -> None:
        while not enough.wait(0.2):
            comment = f"comment {len(published):04}"
            event = {"userId": "riley", "courseId": course, "comment": comment}
            assert stack.invoke("PublisherFunction", event)["published"] == 1
            published.append(comment)

    service = threading.Thread(target=publish)
    service.start()
    try:
        yield published
    finally:
        enough.set()
        service.join()


def test_every_message_is_seen_once_and_in_order_while_the_token_is_renewed(
    stack: Stack, momento: Callable[[str], None], course: str, visit: Visit
) -> None:
    taylor = visit()
    taylor.join("taylor", course)
    # So that messages come while the page moves to its new token.
    momento("delay?rpcs=topic-subscribe&ms=1500")
    # So that only the subscription brings comments.
    momento("fail?rpcs=list-fetch&error=permission-denied")
    listed = taylor.page.get_by_role("list", name="Comments")
    listed.evaluate(RECORD)
    taylor.status.evaluate(RECORD)
    first = taylor.token_expires_at()
    with comments_all_the_time(stack, course) as published:
        taylor.wait_for_token_after(first)
        later = f"comment {len(published) + 15:04}"
        expect(taylor.comments.filter(has_text=later)).to_be_visible()
    expect(taylor.comments.filter(has_text=published[-1])).to_be_visible()
    assert re.findall(r"comment \d+", "\n".join(listed.evaluate(RECORDED))) == published
    assert taylor.status.evaluate(RECORDED) == []
    expect(taylor.status).to_have_text("Live")
    expect(taylor.alert).to_be_hidden()


def test_a_renewal_before_the_first_message_loses_none_and_alarms_nobody(
    stack: Stack, momento: Callable[[str], None], course: str, visit: Visit
) -> None:
    taylor = visit()
    taylor.join("taylor", course)
    momento("fail?rpcs=list-fetch&error=permission-denied")
    taylor.status.evaluate(RECORD)
    first = taylor.token_expires_at()
    taylor.wait_for_token_after(first)
    with comments_all_the_time(stack, course) as published:
        expect(taylor.comments.filter(has_text="comment 0020")).to_be_visible()
    expect(taylor.comments.filter(has_text=published[-1])).to_be_visible()
    expect(taylor.comments).to_have_count(len(published))
    assert taylor.status.evaluate(RECORDED) == []
    expect(taylor.alert).to_be_hidden()
