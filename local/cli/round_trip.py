"""Send one comment through every part of the running system, as a browser does, and read it back."""

import asyncio
import json
import secrets
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from momento import CacheClientAsync, CredentialProvider, TopicClientAsync
from momento.config import Configurations, TopicConfigurations
from momento.errors import MomentoErrorCode
from momento.responses import CacheListFetch, TopicPublish

from local.stack.client import (
    LoopError,
    fetch_token,
    parse_object,
    post,
    sign_in,
    super_user_credentials,
    token_credentials,
)
from local.stack.facts import StackFacts
from local.stack.local_stack import MOMENTO_WEBHOOK, LocalStack

COMMENT = "comment"
COURSE_ID = "123"
_SECONDS_FOR_DELIVERY = 30
_SERVICE_USERNAME = "taylor"


@dataclass(frozen=True)
class Hop:
    """One step of the round trip, and its duration."""

    name: str
    what_happened: str
    milliseconds: float


async def round_trip(stack: LocalStack, on_hop: Callable[[Hop], None]) -> None:
    """Sign in, fetch a token, publish a comment, wait for the webhook to store it, and read it back.

    If the stack has no users, because another issuer signs them in, PublisherFunction publishes the comment,
    and it is read back only from the stack's own Momento. `on_hop` is called after each step. Raise LoopError
    if a step fails or the stored identity is not the user's.
    """
    facts = stack.facts
    username = facts.users[0].username if facts.users else _SERVICE_USERNAME
    identity = username
    comment = f"Hello from {username} ({secrets.token_hex(3)})"
    message = json.dumps({"courseId": COURSE_ID, "comment": comment, "id": secrets.token_hex(16)})
    credentials: CredentialProvider | None

    if facts.users:
        with _hop(on_hop, "Sign in") as happened:
            jwt = await sign_in(facts, facts.users[0])
            happened(f"{username} signed in at the user pool and has a JWT")

        with _hop(on_hop, "Token") as happened:
            token = await fetch_token(facts, jwt, {"comment": [COURSE_ID]})
            minutes = round((token["expiresAt"] - time.time()) / 60)
            identity = token["tokenId"]
            lifetime = "1 minute" if minutes == 1 else f"{minutes} minutes"
            happened(f"the token API gave a Momento token that carries {identity}, for {lifetime}")

        credentials = token_credentials(facts.momento, token["authToken"])
        delivery = stack.delivery_of(comment)
        with _hop(on_hop, "Publish") as happened:
            await _publish(facts, credentials, message)
            happened(f"published on {facts.cache}/{COMMENT} with that token")
    else:
        credentials = _own_credentials(facts)
        delivery = stack.delivery_of(comment)
        with _hop(on_hop, "Publish") as happened:
            await _publish_as_service(facts, username, comment)
            happened(f"PublisherFunction published on {facts.cache}/{COMMENT} as {username}")

    with _hop(on_hop, "Webhook") as happened:
        caller, caller_function = _caller_of_webhook(facts)
        try:
            async with asyncio.timeout(_SECONDS_FOR_DELIVERY):
                delivered = await delivery
        except TimeoutError:
            message = f"{caller} did not call the webhook successfully within {_SECONDS_FOR_DELIVERY} s."
            raise LoopError(message, caller_function) from None
        if delivered.status >= 300:
            message = f"The webhook refused the message: it answered {delivered.status}."
            raise LoopError(message, "WebhookFunction")
        happened(f"{caller} called the function URL, signed; it answered {delivered.status}")

    if credentials is None:
        return
    with _hop(on_hop, "Cache") as happened:
        entries = await _read_comments(facts, credentials)
        stored = next((entry for entry in entries if entry.get("comment") == comment), None)
        if stored is None:
            raise LoopError(f"The comment is not in the list {COURSE_ID!r}.", "WebhookFunction")
        if stored.get("userID") != identity:
            raise LoopError(
                f"The comment was stored for {stored.get('userID')!r}, but {identity!r} published it.",
                "WebhookFunction",
            )
        happened(f"read back: {stored['userID']} wrote “{stored['comment']}”")


@contextmanager
def _hop(on_hop: Callable[[Hop], None], name: str) -> Iterator[Callable[[str], None]]:
    what_happened = ""

    def happened(text: str) -> None:
        nonlocal what_happened
        what_happened = text

    began = time.monotonic()
    yield happened
    on_hop(Hop(name, what_happened, (time.monotonic() - began) * 1000))


def _caller_of_webhook(facts: StackFacts) -> tuple[str, str]:
    """Return the webhook's caller, and the function whose log to show if there was no call."""
    if facts.message_source == MOMENTO_WEBHOOK:
        return "Momento", "WebhookFunction"
    return "The relay", "RelayFunction"


def _own_credentials(facts: StackFacts) -> CredentialProvider | None:
    """Return the super-user's credentials for the stack's own Momento, or None if it has no own Momento."""
    api_key = facts.momento.api_key
    return super_user_credentials(facts.momento, api_key) if api_key else None


async def _publish_as_service(facts: StackFacts, username: str, comment: str) -> None:
    url = f"{facts.lambda_url}/2015-03-31/functions/PublisherFunction/invocations"
    event = {"userId": username, "courseId": COURSE_ID, "comment": comment}
    answer = await post(url, {}, event, "PublisherFunction")
    if answer.get("published") != 1:
        raise LoopError(f"PublisherFunction did not publish: {json.dumps(answer)}", "PublisherFunction")


async def _publish(facts: StackFacts, credentials: CredentialProvider, text: str) -> None:
    async with TopicClientAsync(TopicConfigurations.Default.latest(), credentials) as topics:
        published = await topics.publish(facts.cache, COMMENT, text)
    if isinstance(published, TopicPublish.Error):
        raise LoopError(_failure("Publishing", facts, published))


async def _read_comments(facts: StackFacts, credentials: CredentialProvider) -> list[dict[str, Any]]:
    async with await CacheClientAsync.create(
        Configurations.Laptop.latest(), credentials, timedelta(minutes=1)
    ) as cache:
        fetched = await cache.list_fetch(facts.cache, COURSE_ID)
    match fetched:
        case CacheListFetch.Hit():
            return [parse_object(entry) for entry in fetched.value_list_string]
        case CacheListFetch.Error():
            raise LoopError(_failure("Reading the list", facts, fetched))
        case _:
            return []


def _failure(what: str, facts: StackFacts, error: TopicPublish.Error | CacheListFetch.Error) -> str:
    if error.error_code is MomentoErrorCode.NOT_FOUND_ERROR:
        return f"There is no cache {facts.cache!r} at {facts.momento.host}. Create it there first."
    return f"{what} failed: {error.error_code.name}: {error.message}"
