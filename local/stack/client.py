"""The requests of a browser to the running stack: sign in, and fetch a token for Momento's SDK."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import aiohttp
from momento import CredentialProvider
from momento.errors import SdkException

from local.aws.services import User
from local.stack.facts import MomentoFacts, StackFacts


class LoopError(Exception):
    """A step of the loop failed. `function` is the function whose log may show the cause, if any."""

    def __init__(self, message: str, function: str | None = None) -> None:
        super().__init__(message)
        self.function = function


async def sign_in(facts: StackFacts, user: User) -> str:
    """Sign in a user at the user pool, and return their ID token. Raise LoopError."""
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
            raise LoopError(f"The user pool requires more than a password: {challenge}.")
        case _:
            raise LoopError(
                f"{facts.aws_endpoint_url} answered the sign-in of {user.username} without an IdToken."
            )


async def fetch_token(facts: StackFacts, jwt: str, reads: Mapping[str, Sequence[str]]) -> dict[str, Any]:
    """Return the token API's answer. `reads` has the ids to read, by topic. Raise LoopError."""
    headers = {"Authorization": f"Bearer {jwt}", "Content-Type": "application/json"}
    token = await post(facts.token_url, headers, {"reads": reads}, "TokenVendorFunction")
    if missing := {"authToken", "expiresAt", "tokenId"} - set(token):
        raise LoopError(f"{facts.token_url} answered without {', '.join(sorted(missing))}.")
    return token


def token_credentials(momento: MomentoFacts, auth_token: str) -> CredentialProvider:
    """Return credentials for Momento's SDK from a token of the token API. Raise LoopError."""
    try:
        credentials = CredentialProvider.from_disposable_token(auth_token)
    except SdkException as error:
        raise LoopError(f"The token API gave an invalid token: {error}", "TokenVendorFunction") from error
    if not momento.local_address:
        return credentials
    host = momento.host
    return replace(
        credentials, control_endpoint=host, cache_endpoint=host, token_endpoint=host, port=momento.port
    )


def super_user_credentials(momento: MomentoFacts, api_key: str) -> CredentialProvider:
    """Return credentials for Momento's SDK with an API key of a local Momento."""
    host = momento.host
    return CredentialProvider(api_key, host, host, host, momento.port)


async def post(
    url: str, headers: Mapping[str, str], body: object, function: str | None = None
) -> dict[str, Any]:
    """Return the JSON answer to a POST. `function` answers it, if given. Raise LoopError."""
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
    """Return the JSON object in `text`, or an empty one if `text` is anything else."""
    try:
        value = json.loads(text)
    except ValueError:
        return {}
    return value if isinstance(value, dict) else {}
