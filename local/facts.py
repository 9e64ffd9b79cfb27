"""What a running stack tells others about itself: the content of `stack.json`."""

import dataclasses
import json
from dataclasses import dataclass

from local.aws.services import User


@dataclass(frozen=True)
class MomentoFacts:
    """Where the local Momento is, and the key of its super-user."""

    host: str
    port: int
    web_url: str
    admin_url: str
    api_key: str


@dataclass(frozen=True)
class StackFacts:
    """Where everything is, and what is needed to use it."""

    momento: MomentoFacts
    token_url: str
    webhook_url: str
    lambda_url: str
    aws_endpoint_url: str
    web_url: str | None
    cache: str
    topic: str
    user_pool_id: str
    user_pool_client_id: str
    users: tuple[User, ...]
    signing_secret: str

    def to_json(self) -> str:
        """Return the facts as `stack.json` holds them."""
        return json.dumps(dataclasses.asdict(self), indent=2) + "\n"
