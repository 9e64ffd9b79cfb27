"""The content of `stack.json`: the addresses and names of a running stack."""

import dataclasses
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from local.aws.services import User

FACTS_FILE = "stack.json"
MOMENTO_PORT = 443
"""The port of Momento itself, with TLS. A Momento on another port has no TLS."""


class NoStackError(Exception):
    """No stack is ready in the state directory. The message says what to do."""


@dataclass(frozen=True)
class MomentoFacts:
    """The address of Momento. The stack's own also has addresses for browsers and tests, and an API key."""

    host: str
    port: int
    web_url: str | None
    admin_url: str | None
    api_key: str | None

    @property
    def local_address(self) -> str:
        """Return the `host:port` of a local Momento, or an empty string for Momento itself."""
        return "" if self.port == MOMENTO_PORT else f"{self.host}:{self.port}"


@dataclass(frozen=True)
class StackFacts:
    """The addresses of a stack's parts, and the names and secrets to use them.

    Without a user pool, its ids are None and there are no users, because another issuer signs them in.
    """

    momento: MomentoFacts
    token_url: str
    webhook_url: str
    lambda_url: str
    aws_endpoint_url: str
    web_url: str | None
    cache: str
    topic: str
    topics: list[str]
    user_pool_id: str | None
    user_pool_client_id: str | None
    users: tuple[User, ...]
    signing_secret: str
    message_source: str
    spill_queue_url: str
    dead_letter_queue_url: str

    @classmethod
    def read(cls, state_directory: Path) -> Self:
        """Return the facts of the stack that uses this state directory. Raise NoStackError."""
        try:
            return cls.from_json((state_directory / FACTS_FILE).read_text(encoding="utf-8"))
        except FileNotFoundError:
            raise NoStackError(
                f"No local stack is ready in {state_directory}: start one with make run"
            ) from None

    def to_json(self) -> str:
        """Return the content of `stack.json`."""
        return json.dumps(dataclasses.asdict(self), indent=2) + "\n"

    @classmethod
    def from_json(cls, text: str) -> Self:
        """Parse the content of a `stack.json`."""
        fields = json.loads(text)
        users = tuple(User(**user) for user in fields.pop("users"))
        return cls(momento=MomentoFacts(**fields.pop("momento")), users=users, **fields)
