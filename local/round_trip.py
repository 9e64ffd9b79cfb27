"""One comment through every part of the running system, sent as a browser would, and back."""

import asyncio
import json
import secrets
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any

import aiohttp
from momento import CacheClientAsync, CredentialProvider, TopicClientAsync
from momento.config import Configurations, TopicConfigurations
from momento.errors import MomentoErrorCode, SdkException
from momento.responses import CacheListFetch, TopicPublish

from local.facts import StackFacts
from local.stack import MOMENTO_WEBHOOK, LocalStack

COMMENT = "comment"
COURSE_ID = "123"
_SECONDS_FOR_DELIVERY = 30
_NAME_WITHOUT_USERS = "taylor"


class RoundTripError(Exception):
    """The comment did not come back as it should. `function` is the one whose log tells more, if any."""

    def __init__(self, message: str, function: str | None = None) -> None:
        super().__init__(message)
        self.function = function


@dataclass(frozen=True)
class Hop:
    """One step of the comment's way, and how long it took."""

    name: str
    what_happened: str
    milliseconds: float


async def round_trip(stack: LocalStack, on_hop: Callable[[Hop], None]) -> None:
    """Sign in, fetch a token, publish a comment with it, and read it back after the webhook has stored it.

    Where users sign in elsewhere, a service publishes the comment, and it is read back from the stack's own
    Momento only. `on_hop` is told of each step. Raises RoundTripError where one fails, or the identity is not
    the user's.
    """
    facts = stack.facts
    username = facts.users[0].username if facts.users else _NAME_WITHOUT_USERS
    identity = username
    comment = f"Hello from {username} ({secrets.token_hex(3)})"
    message = json.dumps({"courseId": COURSE_ID, "comment": comment, "id": secrets.token_hex(16)})
    credentials: CredentialProvider | None

    if facts.users:
        with _hop(on_hop, "Sign in") as happened:
            jwt = await _sign_in(facts)
            happened(f"{username} signed in at the user pool and has a JWT")

        with _hop(on_hop, "Token") as happened:
            token = await _fetch_token(facts, jwt)
            minutes = round((token["expiresAt"] - time.time()) / 60)
            identity = token["tokenId"]
            lifetime = "1 minute" if minutes == 1 else f"{minutes} minutes"
            happened(f"the token API gave a Momento token that carries {identity}, for {lifetime}")

        credentials = _credentials(facts, token["authToken"])
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
            message = f"{caller} has not called the webhook, or not with success."
            raise RoundTripError(message, caller_function) from None
        if delivered.status >= 300:
            message = f"The webhook did not take the message: it answered {delivered.status}."
            raise RoundTripError(message, "WebhookFunction")
        happened(f"{caller} called the function URL, signed; it answered {delivered.status}")

    if credentials is None:
        return
    with _hop(on_hop, "Cache") as happened:
        entries = await _read_comments(facts, credentials)
        stored = next((entry for entry in entries if entry.get("comment") == comment), None)
        if stored is None:
            raise RoundTripError(f"The comment is not in the list {COURSE_ID!r}.", "WebhookFunction")
        if stored.get("userID") != identity:
            raise RoundTripError(
                f"The comment was stored as {stored.get('userID')!r}'s, and {identity!r} has published it.",
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
    """Return who calls the webhook, and the function whose log tells more where they do not."""
    if facts.message_source == MOMENTO_WEBHOOK:
        return "Momento", "WebhookFunction"
    return "The relay", "RelayFunction"


async def _sign_in(facts: StackFacts) -> str:
    """Return the id token of the first sample user: the one of Cognito's tokens that says who they are."""
    user = facts.users[0]
    headers = {
        "Content-Type": "application/x-amz-json-1.1",
        "X-Amz-Target": "AWSCognitoIdentityProviderService.InitiateAuth",
    }
    request = {
        "AuthFlow": "USER_PASSWORD_AUTH",
        "ClientId": facts.user_pool_client_id,
        "AuthParameters": {"USERNAME": user.username, "PASSWORD": user.password},
    }
    answer = await _post(facts.aws_endpoint_url, headers, request, None)
    match answer:
        case {"AuthenticationResult": {"IdToken": str(id_token)}}:
            return id_token
        case {"ChallengeName": challenge}:
            raise RoundTripError(f"The user pool asks for more than a password: {challenge}.")
        case _:
            raise RoundTripError(f"{facts.aws_endpoint_url} let {user.username} in without an IdToken.")


async def _fetch_token(facts: StackFacts, jwt: str) -> dict[str, Any]:
    headers = {"Authorization": f"Bearer {jwt}", "Content-Type": "application/json"}
    token = await _post(facts.token_url, headers, {"courseIds": [COURSE_ID]}, "TokenVendorFunction")
    if missing := {"authToken", "expiresAt", "tokenId"} - set(token):
        raise RoundTripError(f"{facts.token_url} answered without {', '.join(sorted(missing))}.")
    return token


async def _post(url: str, headers: dict[str, str], body: Any, function: str | None) -> dict[str, Any]:
    """Return the JSON answer to a POST; `function` answers it, if one does."""
    async with aiohttp.ClientSession() as session:
        try:
            async with session.post(url, headers=headers, data=json.dumps(body)) as response:
                text = await response.text()
        except (aiohttp.ClientError, TimeoutError) as error:
            raise RoundTripError(f"{url} does not answer: {error}", function) from error
    if response.status != 200:
        raise RoundTripError(f"{url} answered {response.status}: {text}", function)
    return _object(text)


def _credentials(facts: StackFacts, auth_token: str) -> CredentialProvider:
    """Return what the SDK needs to connect to Momento with a token."""
    try:
        credentials = CredentialProvider.from_disposable_token(auth_token)
    except SdkException as error:
        raise RoundTripError(f"{facts.token_url} gave a token that is none: {error}") from error
    if not facts.momento.local_address:
        return credentials
    return replace(
        credentials,
        control_endpoint=facts.momento.host,
        cache_endpoint=facts.momento.host,
        token_endpoint=facts.momento.host,
        port=facts.momento.port,
    )


def _own_credentials(facts: StackFacts) -> CredentialProvider | None:
    """Return the credentials of the super-user of the stack's own Momento; None if it has none."""
    momento = facts.momento
    if momento.api_key is None:
        return None
    return CredentialProvider(momento.api_key, momento.host, momento.host, momento.host, momento.port)


async def _publish_as_service(facts: StackFacts, username: str, comment: str) -> None:
    url = f"{facts.lambda_url}/2015-03-31/functions/PublisherFunction/invocations"
    event = {"userId": username, "courseId": COURSE_ID, "comment": comment}
    answer = await _post(url, {}, event, "PublisherFunction")
    if answer.get("published") != 1:
        raise RoundTripError(f"PublisherFunction did not publish: {json.dumps(answer)}", "PublisherFunction")


async def _publish(facts: StackFacts, credentials: CredentialProvider, text: str) -> None:
    async with TopicClientAsync(TopicConfigurations.Default.latest(), credentials) as topics:
        published = await topics.publish(facts.cache, COMMENT, text)
    if isinstance(published, TopicPublish.Error):
        raise RoundTripError(_failure("Publishing", facts, published))


async def _read_comments(facts: StackFacts, credentials: CredentialProvider) -> list[dict[str, Any]]:
    async with await CacheClientAsync.create(
        Configurations.Laptop.latest(), credentials, timedelta(minutes=1)
    ) as cache:
        fetched = await cache.list_fetch(facts.cache, COURSE_ID)
    match fetched:
        case CacheListFetch.Hit():
            return [_object(entry) for entry in fetched.value_list_string]
        case CacheListFetch.Error():
            raise RoundTripError(_failure("Reading the list", facts, fetched))
        case _:
            return []


def _failure(what: str, facts: StackFacts, error: TopicPublish.Error | CacheListFetch.Error) -> str:
    if error.error_code is MomentoErrorCode.NOT_FOUND_ERROR:
        return f"There is no cache {facts.cache!r} at {facts.momento.host}. Create it there first."
    return f"{what} failed: {error.error_code.name}: {error.message}"


def _object(text: str) -> dict[str, Any]:
    """Return the JSON object in `text`; an empty one where there is none, in which nothing will be found."""
    try:
        value = json.loads(text)
    except ValueError:
        return {}
    return value if isinstance(value, dict) else {}
