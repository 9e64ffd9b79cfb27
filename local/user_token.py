"""Fetches a Momento token from the running local stack, as a browser of one of its users does.

    python -m local.user_token taylor --read comment=123 --read poll=42

It prints the answer of the token API.
"""

import argparse
import asyncio
import json
import sys
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import aiohttp
from momento import CredentialProvider
from momento.errors import SdkException

from local.aws.services import User
from local.facts import MomentoFacts, StackFacts

STATE_DIRECTORY = Path(".local")


class LoopError(Exception):
    """A step of the loop failed. `function` is the one whose log tells more, if any."""

    def __init__(self, message: str, function: str | None = None) -> None:
        super().__init__(message)
        self.function = function


async def sign_in(facts: StackFacts, user: User) -> str:
    """Return a user's ID token: the one of Cognito's tokens that says who they are. Raise LoopError."""
    headers = {
        "Content-Type": "application/x-amz-json-1.1",
        "X-Amz-Target": "AWSCognitoIdentityProviderService.InitiateAuth",
    }
    request = {
        "AuthFlow": "USER_PASSWORD_AUTH",
        "ClientId": facts.user_pool_client_id,
        "AuthParameters": {"USERNAME": user.username, "PASSWORD": user.password},
    }
    answer = await post(facts.aws_endpoint_url, headers, request)
    match answer:
        case {"AuthenticationResult": {"IdToken": str(id_token)}}:
            return id_token
        case {"ChallengeName": challenge}:
            raise LoopError(f"The user pool asks for more than a password: {challenge}.")
        case _:
            raise LoopError(f"{facts.aws_endpoint_url} let {user.username} in without an IdToken.")


async def fetch_token(facts: StackFacts, jwt: str, reads: Mapping[str, Sequence[str]]) -> dict[str, Any]:
    """Return the token API's answer. `reads` are the ids to read, by topic. Raise LoopError."""
    headers = {"Authorization": f"Bearer {jwt}", "Content-Type": "application/json"}
    token = await post(facts.token_url, headers, {"reads": reads}, "TokenVendorFunction")
    if missing := {"authToken", "expiresAt", "tokenId"} - set(token):
        raise LoopError(f"{facts.token_url} answered without {', '.join(sorted(missing))}.")
    return token


def token_credentials(momento: MomentoFacts, auth_token: str) -> CredentialProvider:
    """Return what Momento's SDK needs to use a token of the token API. Raise LoopError."""
    try:
        credentials = CredentialProvider.from_disposable_token(auth_token)
    except SdkException as error:
        raise LoopError(f"The token API gave a token that is none: {error}", "TokenVendorFunction") from error
    if not momento.local_address:
        return credentials
    host = momento.host
    return replace(
        credentials, control_endpoint=host, cache_endpoint=host, token_endpoint=host, port=momento.port
    )


async def post(
    url: str, headers: Mapping[str, str], body: object, function: str | None = None
) -> dict[str, Any]:
    """Return the JSON answer to a POST, which `function` answers, if one does. Raise LoopError."""
    async with aiohttp.ClientSession() as session:
        try:
            async with session.post(url, headers=headers, data=json.dumps(body)) as response:
                text = await response.text()
        except (aiohttp.ClientError, TimeoutError) as error:
            raise LoopError(f"{url} does not answer: {error}", function) from error
    if response.status != 200:
        raise LoopError(f"{url} answered {response.status}: {text}", function)
    return parse_object(text)


def parse_object(text: str) -> dict[str, Any]:
    """Return the JSON object in `text`, or an empty one if there is none."""
    try:
        value = json.loads(text)
    except ValueError:
        return {}
    return value if isinstance(value, dict) else {}


def credentials(token: Mapping[str, Any], state_directory: Path = STATE_DIRECTORY) -> CredentialProvider:
    """Return what Momento's SDK needs to use the answer of the token API at the running stack."""
    return token_credentials(_running_stack(state_directory).momento, token["authToken"])


def _running_stack(state_directory: Path) -> StackFacts:
    try:
        return StackFacts.from_json((state_directory / "stack.json").read_text())
    except OSError:
        raise LoopError(f"No stack runs in {state_directory}. Start one with make run.") from None


async def _user_token(facts: StackFacts, username: str, reads: Mapping[str, Sequence[str]]) -> dict[str, Any]:
    for user in facts.users:
        if user.username == username:
            return await fetch_token(facts, await sign_in(facts, user), reads)
    names = ", ".join(user.username for user in facts.users) or "none"
    raise LoopError(f"The stack has no user {username}. Its users: {names}.")


def _topic_and_id(text: str) -> tuple[str, str]:
    topic, separator, id_ = text.partition("=")
    if not separator:
        raise argparse.ArgumentTypeError(f"{text!r} is not TOPIC=ID")
    return topic, id_


def main() -> int:
    """Print the token, or why there is none. Return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m local.user_token", description=__doc__.split("\n")[0])
    parser.add_argument("username", help="a user of the local stack, such as taylor")
    parser.add_argument(
        "--read",
        type=_topic_and_id,
        action="append",
        default=[],
        metavar="TOPIC=ID",
        help="what the token may read, such as comment=123 (repeatable)",
    )
    parser.add_argument(
        "--state-dir",
        type=Path,
        default=STATE_DIRECTORY,
        metavar="DIR",
        help="the stack's (default: .local)",
    )
    arguments = parser.parse_args()
    reads: dict[str, list[str]] = defaultdict(list)
    for topic, id_ in arguments.read:
        reads[topic].append(id_)
    try:
        facts = _running_stack(arguments.state_dir)
        print(json.dumps(asyncio.run(_user_token(facts, arguments.username, reads))))
    except LoopError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
