"""What a running stack tells others about itself: the content of `stack.json`."""

import dataclasses
import json
from dataclasses import dataclass
from typing import Self

from local.aws.services import User

MOMENTO_PORT = 443
"""Of Momento itself, by TLS; a Momento at another port speaks plaintext."""


@dataclass(frozen=True)
class MomentoFacts:
    """Where Momento is, and of the stack's own also how browsers reach it, and the key of its super-user."""

    host: str
    port: int
    web_url: str | None
    admin_url: str | None
    api_key: str | None

    @property
    def local_address(self) -> str:
        """`host:port` of a local Momento; empty for Momento itself."""
        return "" if self.port == MOMENTO_PORT else f"{self.host}:{self.port}"


@dataclass(frozen=True)
class StackFacts:
    """Where everything is, and what is needed to use it.

    Without a user pool, as users sign in elsewhere, its ids are None and there are no users.
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

    def to_json(self) -> str:
        """Return the facts as `stack.json` holds them."""
        return json.dumps(dataclasses.asdict(self), indent=2) + "\n"

    @classmethod
    def from_json(cls, text: str) -> Self:
        """Return the facts in a `stack.json`."""
        fields = json.loads(text)
        users = tuple(User(**user) for user in fields.pop("users"))
        return cls(momento=MomentoFacts(**fields.pop("momento")), users=users, **fields)
