"""A steady load: users who comment all the time, in browsers and through the publisher.

Now and then one of them also votes, chats or sends an event.
"""

import asyncio
import itertools
import json
import time
import uuid
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from typing import Any, Protocol, Self

import aiohttp
from momento import CredentialProvider, TopicClientAsync, TopicConfigurations
from momento.errors import MomentoErrorCode
from momento.responses import TopicPublish

from local.aws.services import User
from local.stack.client import LoopError, fetch_token, sign_in, token_credentials
from local.stack.facts import StackFacts
from tests.chaos.topic_verdicts import CHOICES, LANGUAGES
from tests.chaos.witness import CHAT, COMMENT, EVENT, POLL, Witness

FLOODER = "mallory"
_SERVICE_USERS = ("alice", "bob")
_SERVICE_USER_WITHOUT_IDS = "carol"
_COURSES_AT_ONCE = 3
# Fewer than a list keeps.
_COMMENTS_IN_A_LIST = 150
# The local Momento holds a topic's last 1,000 messages, and drops older ones while the relay is away.
_MOST_UNDELIVERED = 600
_FLOOD_MESSAGES_AT_ONCE = 50
# Of so many comments, one is followed by a vote, one by a chat message and one by an event. The users take
# turns at it, because this is no multiple of their number.
_COMMENTS_FOR_EACH_OTHER = 11
# With 11 comments for a chat message, fewer of these than a room's history keeps.
_COMMENTS_IN_A_ROOM = 500


class _User(Protocol):
    name: str

    async def comment(self, course: str, text: str) -> bool:
        """Publish a comment; return whether it was said to be published."""

    async def send(self, topic: str, fields: dict[str, Any]) -> bool:
        """Publish a message with an id on a topic; return whether it was said to be published.

        Repeat it once if it was not.
        """


class ServiceUser:
    """A user for whom a service publishes, by invoking PublisherFunction.

    With `gives_ids`, each comment has an id, and an event is sent once more if its answer does not say that
    the comment is published.
    """

    def __init__(
        self, name: str, session: aiohttp.ClientSession, facts: StackFacts, *, gives_ids: bool = True
    ) -> None:
        self.name = name
        self._session = session
        self._gives_ids = gives_ids
        self._url = f"{facts.lambda_url}/2015-03-31/functions/PublisherFunction/invocations"

    async def comment(self, course: str, text: str) -> bool:
        """Publish a comment; return whether it was said to be published."""
        event = self._event(course, text)
        return await self._publish(event) == 1 or (self._gives_ids and await self._publish(event) == 1)

    async def send(self, topic: str, fields: dict[str, Any]) -> bool:
        """Publish a message with an id on a topic; return whether it was said to be published."""
        event = {"userId": self.name, "topic": topic, "message": fields}
        return await self._publish(event) == 1 or await self._publish(event) == 1

    async def comment_at_once(self, course: str, texts: Sequence[str]) -> int:
        """Publish comments with one event; return how many were said to be published."""
        return await self._publish({"messages": [self._event(course, text) for text in texts]})

    def _event(self, course: str, text: str) -> dict[str, str]:
        event = {"userId": self.name, "courseId": course, "comment": text}
        return {**event, "id": uuid.uuid4().hex} if self._gives_ids else event

    async def _publish(self, event: dict[str, Any]) -> int:
        async with self._session.post(self._url, json=event) as response:
            answer = await response.json()
        return int(answer.get("published", 0)) if isinstance(answer, dict) else 0


class BrowserUser:
    """A user who is signed in, and publishes with a token of the token API."""

    def __init__(self, user: User, facts: StackFacts) -> None:
        """Sign in with `renew_token` before publishing."""
        self.name = user.username
        self._user = user
        self._facts = facts
        self._credentials: CredentialProvider
        self._renewal_at = 0.0
        self._resources = AsyncExitStack()
        self._topics: TopicClientAsync | None = None

    async def fetch_token(self, course: str) -> dict[str, Any]:
        """Sign in, and fetch a token that may read a course's comments. Raise LoopError."""
        return await fetch_token(self._facts, await sign_in(self._facts, self._user), {COMMENT: [course]})

    async def renew_token(self) -> None:
        """Publish with a new token from now on. Raise LoopError."""
        token = await self.fetch_token("123")
        self._credentials = token_credentials(self._facts.momento, token["authToken"])
        self._renewal_at = (time.time() + token["expiresAt"]) / 2
        await self.close()

    async def comment(self, course: str, text: str, message_id: str | None = None) -> bool:
        """Publish a comment, with a new id or this one; return whether it was said to be published.

        Like the page, repeat it once, with the same id, if nobody knows whether it was published.
        """
        return await self.send(
            COMMENT, {"courseId": course, "comment": text, "id": message_id or uuid.uuid4().hex}
        )

    async def send(self, topic: str, fields: dict[str, Any]) -> bool:
        """Publish a message with an id on a topic; return whether it was said to be published."""
        text = json.dumps(fields)
        return await self.publish(text, topic) or await self.publish(text, topic)

    async def publish(self, text: str, topic: str = COMMENT) -> bool:
        """Publish any text; return whether it was said to be published."""
        if time.time() > self._renewal_at:
            with suppress(LoopError):  # The present token is good for as long again.
                await self.renew_token()
        if self._topics is None:
            self._topics = await self._resources.enter_async_context(
                TopicClientAsync(TopicConfigurations.Default.latest(), self._credentials)
            )
        response = await self._topics.publish(self._facts.cache, topic, text)
        if isinstance(response, TopicPublish.Error):
            if response.error_code is MomentoErrorCode.SERVER_UNAVAILABLE:
                await self.close()  # A client would connect again only minutes later.
            return False
        return True

    async def close(self) -> None:
        """Close the connection; publishing opens another one."""
        await self._resources.aclose()
        self._topics = None


class Load:
    """All users together publish `rate` messages a second; `browsers` are those with a token."""

    def __init__(
        self,
        browsers: list[BrowserUser],
        services: list[ServiceUser],
        flooder: ServiceUser,
        rate: float,
        witness: Witness,
    ) -> None:
        """Use `Load.of`."""
        self.browsers = browsers
        self.published = 0
        """How many comments have been published, or tried to be, during the present fault."""
        self._flooder = flooder
        self._flood_numbers = itertools.count(1)
        self._users: list[_User] = [*browsers, *services]
        self._pause = len(self._users) / rate
        self._witness = witness
        self._may_publish = asyncio.Event()
        self._may_publish.set()

    @classmethod
    @asynccontextmanager
    async def of(cls, facts: StackFacts, rate: float, witness: Witness) -> AsyncIterator[Self]:
        """Sign the stack's users in. Three others publish through the publisher."""
        async with AsyncExitStack() as resources:
            timeout = aiohttp.ClientTimeout(total=60)
            session = await resources.enter_async_context(aiohttp.ClientSession(timeout=timeout))
            browsers = [BrowserUser(user, facts) for user in facts.users]
            for browser in browsers:
                await browser.renew_token()
                resources.push_async_callback(browser.close)
            services = [
                *(ServiceUser(name, session, facts) for name in _SERVICE_USERS),
                ServiceUser(_SERVICE_USER_WITHOUT_IDS, session, facts, gives_ids=False),
            ]
            yield cls(browsers, services, ServiceUser(FLOODER, session, facts), rate, witness)

    @asynccontextmanager
    async def during(self, fault: str, messages: int) -> AsyncIterator[None]:
        """Publish inside, and further until there were so many messages."""
        enough = asyncio.Event()
        self.published = 0
        async with asyncio.TaskGroup() as users:
            for user in self._users:
                users.create_task(self._comment_on(user, fault, messages, enough))
            yield
            enough.set()

    @asynccontextmanager
    async def silence(self) -> AsyncIterator[None]:
        """Let nobody publish inside."""
        self._may_publish.clear()
        try:
            yield
        finally:
            self._may_publish.set()

    async def flood(self, fault: str, messages: int) -> None:
        """Publish about so many messages as one more user, as fast as the publisher does it."""
        for _ in range(0, messages, _FLOOD_MESSAGES_AT_ONCE):
            numbers = list(itertools.islice(self._flood_numbers, _FLOOD_MESSAGES_AT_ONCE))
            course = f"{fault}-flood-{numbers[0] // _COMMENTS_IN_A_LIST}"
            await self._flooder.comment_at_once(course, [f"{fault}-{FLOODER}-{n}" for n in numbers])

    async def say(self, user: BrowserUser, course: str, text: str, message_id: str | None = None) -> None:
        """Publish one comment more, and note what its publisher was told."""
        self._note(text, is_published=await user.comment(course, text, message_id))

    def _note(self, text: str, *, is_published: bool) -> None:
        if is_published:
            self._witness.trial.acknowledged.append(text)
        else:
            self._witness.trial.unacknowledged += 1

    async def _comment_on(self, user: _User, fault: str, messages: int, enough: asyncio.Event) -> None:
        loop = asyncio.get_running_loop()
        number = 0
        while not (enough.is_set() and self.published >= messages):
            next_at = loop.time() + self._pause
            await self._may_publish.wait()
            while self._witness.trial.undelivered >= _MOST_UNDELIVERED:  # noqa: ASYNC110 (nothing tells)
                await asyncio.sleep(0.1)
            number += 1
            self.published += 1
            published = self.published
            lists_filled = self.published // (_COURSES_AT_ONCE * _COMMENTS_IN_A_LIST)
            course = f"{fault}-{_COURSES_AT_ONCE * lists_filled + number % _COURSES_AT_ONCE}"
            text = f"{fault}-{user.name}-{number}"
            self._note(text, is_published=await user.comment(course, text))
            await self._send_other(user, fault, published, text)
            await asyncio.sleep(max(0.0, next_at - loop.time()))

    async def _send_other(self, user: _User, fault: str, published: int, message_id: str) -> None:
        """Vote, chat, send an event or do nothing, depending on how many comments were published."""
        turn, kind = divmod(published, _COMMENTS_FOR_EACH_OTHER)
        fields: dict[str, Any]
        match kind:
            case 1:
                topic, fields = POLL, {"pollId": fault, "choice": CHOICES[turn % len(CHOICES)]}
            case 4:
                room, language = (
                    f"{fault}-{published // _COMMENTS_IN_A_ROOM}",
                    LANGUAGES[turn % len(LANGUAGES)],
                )
                topic, fields = CHAT, {"room": room, "language": language, "text": f"Hello from {message_id}"}
            case 8:
                topic, fields = EVENT, {"type": fault, "detail": {"number": published}}
            case _:
                return
        if await user.send(topic, {**fields, "id": message_id}):
            self._witness.trial.acknowledged_ids[topic].add(message_id)
