"""The page while the token API is busy, or permits less than the page asks for."""

from __future__ import annotations

import uuid
from collections.abc import Callable

from playwright.sync_api import Route, expect

from tests.support.page import publish_as, shows, shows_error_beside, shows_no_error_beside
from tests.support.running_stack import Stack
from tests.support.visitor import Visit, Visitor

# Asks for tokens until there are no more. Requests differ, because equal ones get the same token.
USE_UP_TOKENS = """async ([url, jwt]) => {
    for (;;) {
        const body = JSON.stringify({ courseIds: [crypto.randomUUID()] });
        const headers = { authorization: `Bearer ${jwt}` };
        const response = await fetch(url, { method: 'POST', headers, body });
        if (!response.ok) {
            return [response.status, response.headers.get('retry-after')];
        }
    }
}"""


def handle_next_token_request(visitor: Visitor, stack: Stack, act: Callable[[Route], None]) -> None:
    """Let `act` handle the page's next request for a token."""
    routes: list[Route] = []

    def handle(route: Route) -> None:
        if route.request.method == "POST" and not routes:
            routes.append(route)
            act(route)
        else:
            route.continue_()

    visitor.page.route(stack.facts["token_url"], handle)


def test_a_user_with_too_many_tokens_is_told_that_the_server_is_busy(stack: Stack, visit: Visit) -> None:
    jordan = visit()
    jwt = stack.jwt("jordan")

    def use_up_tokens(route: Route) -> None:
        while stack.token(jwt, {"courseIds": [uuid.uuid4().hex]}).status == 200:
            pass
        route.continue_()

    handle_next_token_request(jordan, stack, use_up_tokens)
    jordan.sign_in_as_sample_user("jordan")
    expect(jordan.alert).to_have_text("The server is busy. Trying again…")
    expect(jordan.status).to_have_text("Live")
    expect(jordan.alert).to_be_hidden()


def test_pages_can_read_when_the_token_api_can_be_asked_again(stack: Stack, visit: Visit) -> None:
    jordan = visit()
    status, seconds = jordan.page.evaluate(USE_UP_TOKENS, [stack.facts["token_url"], stack.jwt("jordan")])
    assert (status, int(seconds) > 0) == (429, True)


def test_a_course_that_the_user_may_not_read_leaves_the_former_one(
    stack: Stack, course: str, visit: Visit
) -> None:
    taylor = visit()
    taylor.join("taylor", course)
    publish_as(stack, "jordan", course, "Here")
    shows(taylor.stored, "jordan", "Here")
    taylor.provokes_problems_with(stack.facts["token_url"])
    headers = {"Access-Control-Allow-Origin": "*"}
    answer = {"message": "Forbidden: you may not read all of these courses"}
    handle_next_token_request(
        taylor, stack, lambda route: route.fulfill(status=403, headers=headers, json=answer)
    )
    taylor.course.fill(f"{course}-2")
    taylor.course.press("Enter")
    shows_error_beside(taylor.course, "you may not read all of these courses")
    expect(taylor.course).to_have_value(course)
    expect(taylor.status).to_have_text("Live")
    publish_as(stack, "jordan", course, "Still here")
    shows(taylor.stored, "jordan", "Still here")
    taylor.follow(f"{course}-3")
    shows_no_error_beside(taylor.course)
