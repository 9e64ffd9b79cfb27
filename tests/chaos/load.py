"""A steady load: users who comment all the time, in browsers and through the publisher."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any, Protocol, Self

import aiohttp
from momento import CredentialProvider, TopicClientAsync, TopicConfigurations
from momento.errors import MomentoErrorCode
from momento.responses import TopicPublish

from local.facts import StackFacts
from tests.chaos.witness import Witness

SERVICE_USERS = ("alice", "bob", "carol")
_COURSES = 3
_SIGN_IN_HEADERS = {
    "Content-Type": "application/x-amz-json-1.1",
    "X-Amz-Target": "AWSCognitoIdentityProviderService.InitiateAuth",
}


class _User(Protocol):
    name: str

    async def comment(self, course: str, text: str) -> bool:
        """Publish a comment; return whether it was said to be published."""


class ServiceUser:
    """A user for whom a service publishes, by invoking PublisherFunction."""

    def __init__(self, name: str, session: aiohttp.ClientSession, facts: StackFacts) -> None:
        self.name = name
        self._session = session
        self._url = f"{facts.lambda_url}/2015-03-31/functions/PublisherFunction/invocations"

    async def comment(self, course: str, text: str) -> bool:
        """Publish a comment; return whether it was said to be published."""
        event = {"userId": self.name, "courseId": course, "comment": text}
        async with self._session.post(self._url, json=event) as response:
            answer = await response.json()
        return isinstance(answer, dict) and answer.get("published") == 1


class BrowserUser:
    """A user who is signed in, and publishes with a token of the token API."""

    def __init__(self, name: str, facts: StackFacts, credentials: CredentialProvider) -> None:
        self.name = name
        self._facts = facts
        self._credentials = credentials
        self._resources = AsyncExitStack()
        self._topics: TopicClientAsync | None = None

    @classmethod
    async def sign_in(
        cls, name: str, password: str, session: aiohttp.ClientSession, facts: StackFacts
    ) -> Self:
        """Sign a user in, and fetch a token."""
        request = {
            "AuthFlow": "USER_PASSWORD_AUTH",
            "ClientId": facts.user_pool_client_id,
            "AuthParameters": {"USERNAME": name, "PASSWORD": password},
        }
        signed_in = await _post(session, facts.aws_endpoint_url, _SIGN_IN_HEADERS, request)
        authorization = {"Authorization": f"Bearer {signed_in['AuthenticationResult']['IdToken']}"}
        token = await _post(session, facts.token_url, authorization, {})
        api_key = CredentialProvider.from_disposable_token(token["authToken"]).auth_token
        momento = facts.momento
        credentials = CredentialProvider(api_key, momento.host, momento.host, momento.host, momento.port)
        return cls(name, facts, credentials)

    async def comment(self, course: str, text: str) -> bool:
        """Publish a comment; return whether it was said to be published."""
        return await self.publish(json.dumps({"courseId": course, "comment": text}))

    async def publish(self, text: str) -> bool:
        """Publish any text; return whether it was said to be published."""
        if self._topics is None:
            self._topics = await self._resources.enter_async_context(
                TopicClientAsync(TopicConfigurations.Default.latest(), self._credentials)
            )
        response = await self._topics.publish(self._facts.cache, self._facts.topic, text)
        if isinstance(response, TopicPublish.Error):
            if response.error_code is MomentoErrorCode.SERVER_UNAVAILABLE:
                await self.close()  # A client would connect again only minutes later.
            return False
        return True

    async def close(self) -> None:
        """Close the connection; publishing opens another one."""
        await self._resources.aclose()
        self._topics = None


async def _post(
    session: aiohttp.ClientSession, url: str, headers: dict[str, str], request: Any
) -> dict[str, Any]:
    async with session.post(url, headers=headers, data=json.dumps(request)) as response:
        response.raise_for_status()
        answer: dict[str, Any] = json.loads(await response.read())
        return answer


class Load:
    """All users together publish `rate` messages a second; `browser` is one of those with a token."""

    def __init__(
        self, browsers: list[BrowserUser], services: list[ServiceUser], rate: float, witness: Witness
    ) -> None:
        self.browser = browsers[0]
        self._users: list[_User] = [*browsers, *services]
        self._pause = len(self._users) / rate
        self._witness = witness
        self._may_publish = asyncio.Event()
        self._may_publish.set()
        self._published = 0

    @classmethod
    @asynccontextmanager
    async def of(cls, facts: StackFacts, rate: float, witness: Witness) -> AsyncIterator[Self]:
        """Sign the users in."""
        async with AsyncExitStack() as resources:
            timeout = aiohttp.ClientTimeout(total=60)
            session = await resources.enter_async_context(aiohttp.ClientSession(timeout=timeout))
            browsers = []
            for user in facts.users:
                browser = await BrowserUser.sign_in(user.username, user.password, session, facts)
                resources.push_async_callback(browser.close)
                browsers.append(browser)
            services = [ServiceUser(name, session, facts) for name in SERVICE_USERS]
            yield cls(browsers, services, rate, witness)

    @asynccontextmanager
    async def during(self, fault: str, messages: int) -> AsyncIterator[None]:
        """Publish inside, and further until there were so many messages."""
        enough = asyncio.Event()
        self._published = 0
        async with asyncio.TaskGroup() as users:
            for user in self._users:
                users.create_task(self._comment_on(user, fault, messages, enough))
            yield
            enough.set()

    @asynccontextmanager
    async def silence(self) -> AsyncIterator[None]:
        """Have no message published inside."""
        self._may_publish.clear()
        try:
            yield
        finally:
            self._may_publish.set()

    async def _comment_on(self, user: _User, fault: str, messages: int, enough: asyncio.Event) -> None:
        loop = asyncio.get_running_loop()
        number = 0
        while not (enough.is_set() and self._published >= messages):
            next_at = loop.time() + self._pause
            await self._may_publish.wait()
            number += 1
            self._published += 1
            text = f"{fault}-{user.name}-{number}"
            if await user.comment(f"{fault}-{number % _COURSES}", text):
                self._witness.trial.acknowledged.append(text)
            else:
                self._witness.trial.unacknowledged += 1
            await asyncio.sleep(max(0.0, next_at - loop.time()))
