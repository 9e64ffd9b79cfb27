"""The page while its token, which lives for a minute here, is replaced by another."""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest
from playwright.sync_api import Browser, expect

from tests.support.page import RECORD, RECORDED
from tests.support.running_stack import Stack, running_stack
from tests.support.visitor import Visit


@pytest.fixture(scope="module")
def stack(browser: Browser, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    with running_stack(tmp_path_factory.mktemp("stack"), "--parameter", "TokenLifetimeMinutes=1") as stack:
        yield stack


@contextmanager
def comments_all_the_time(stack: Stack, course: str) -> Iterator[list[str]]:
    """Publish five comments a second as a service. Yield the list of those published so far."""
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


def test_each_comment_appears_once_and_in_order_while_the_token_is_renewed(
    stack: Stack, momento: Callable[[str], None], course: str, visit: Visit
) -> None:
    taylor = visit()
    taylor.join("taylor", course)
    # So that comments come while the page moves to its new token.
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


def test_a_new_token_before_the_first_comment_loses_none_and_is_not_noticed(
    stack: Stack, momento: Callable[[str], None], course: str, visit: Visit
) -> None:
    taylor = visit()
    taylor.join("taylor", course)
    momento("fail?rpcs=list-fetch&error=permission-denied")
    taylor.status.evaluate(RECORD)
    # Another request gets another token at once, which is put to use as in a renewal.
    taylor.page.evaluate("(reads) => session.setTokenRequest({ reads })", {"comment": [course]})
    with comments_all_the_time(stack, course) as published:
        expect(taylor.comments.filter(has_text="comment 0020")).to_be_visible()
    expect(taylor.comments.filter(has_text=published[-1])).to_be_visible()
    expect(taylor.comments).to_have_count(len(published))
    assert taylor.status.evaluate(RECORDED) == []
    expect(taylor.alert).to_be_hidden()
