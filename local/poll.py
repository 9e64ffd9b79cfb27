"""Open and close polls, on the local stack or on AWS.

    python -m local.poll open 42 "Which fruit?" apple pear plum
    python -m local.poll close 42

The default is the running local stack. `--stack NAME` selects a stack on AWS; your AWS credentials must
be allowed to describe it and to read the secret of its Momento API key.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from momento import CacheClient, Configurations, CredentialProvider
from momento.errors import SdkException
from momento.responses import CacheGet
from momento.responses.mixins import ErrorResponseMixin

from local.stack.client import super_user_credentials
from local.stack.facts import MOMENTO_PORT, NoStackError, StackFacts
from local.stack.topics import parse_id

if TYPE_CHECKING:
    from collections.abc import Sequence

POLL = "poll"
"""The topic of votes."""

_TTL = timedelta(days=1)
_CHOICES_MAX = 20
_RESULTS_MAX_BYTES = 3500
"""This leaves room for the counts in a message with the tally, which Momento limits to 4 KB."""


class PollError(Exception):
    """A poll cannot be opened or closed. The message says why and what to do."""


@dataclass(frozen=True)
class Place:
    """The cache of a stack, and how to reach it."""

    credentials: CredentialProvider
    cache: str


def open_poll(place: Place, poll_id: str, question: str, choices: Sequence[str]) -> None:
    """Open a new poll, or reopen a closed one. Raise `PollError`."""
    try:
        parse_id("The id of a poll", poll_id)
    except ValueError as error:
        raise PollError(f"{error}.") from None
    if len(choices) < 2 or len(choices) > _CHOICES_MAX or len(set(choices)) < len(choices):
        raise PollError(f"A poll needs 2 to {_CHOICES_MAX} choices, each different.")
    if len(json.dumps([poll_id, *choices])) > _RESULTS_MAX_BYTES:
        raise PollError("The choices are too long to publish the results in one message.")
    with _Definitions(place) as definitions:
        existing = definitions.get(poll_id)
        if existing and existing["choices"] != list(choices):
            raise PollError("A poll with this id has other choices: give the new one another id.")
        definitions.put(poll_id, {"question": question, "choices": list(choices)})
        definitions.put_first_tally(poll_id, dict.fromkeys(choices, 0))


def open_demo_poll(place: Place) -> None:
    """Open the poll that the page shows by default. Raise `PollError`."""
    open_poll(place, "demo", "Which fruit do you like best?", ["Apple", "Pear", "Plum"])


def close_poll(place: Place, poll_id: str) -> None:
    """Close a poll. Its tally stays until a day after the last vote. Raise `PollError`."""
    with _Definitions(place) as definitions:
        existing = definitions.get(poll_id)
        if not existing:
            raise PollError("There is no such poll.")
        definitions.put(poll_id, {**existing, "closed": True})


def local_place(facts: StackFacts) -> Place:
    """Return the cache of the local stack. Raise `PollError`."""
    momento = facts.momento
    # There is no API key if the stack uses a Momento that it did not start.
    api_key = momento.api_key or os.environ.get("MOMENTO_API_KEY")
    if not api_key:
        raise PollError("The local stack uses your own Momento: set MOMENTO_API_KEY here too.")
    if momento.port == MOMENTO_PORT:
        return Place(CredentialProvider.from_api_key_v2(api_key, momento.host), facts.cache)
    return Place(super_user_credentials(momento, api_key), facts.cache)


def deployed_place(stack: str) -> Place:
    """Return the cache of a stack on AWS. Raise `PollError`."""
    import boto3  # noqa: PLC0415 (slow, and the local stack does not need it)
    from botocore.exceptions import BotoCoreError, ClientError  # noqa: PLC0415

    try:
        cloudformation = boto3.client("cloudformation")
        [described] = cloudformation.describe_stacks(StackName=stack)["Stacks"]
        parameters = {item["ParameterKey"]: item["ParameterValue"] for item in described["Parameters"]}
        resource = cloudformation.describe_stack_resource(
            StackName=stack, LogicalResourceId="MomentoApiKeySecret"
        )
        secret_id = resource["StackResourceDetail"]["PhysicalResourceId"]
        secret = boto3.client("secretsmanager").get_secret_value(SecretId=secret_id)
        api_key = secret["SecretString"].strip()
    except (BotoCoreError, ClientError) as error:
        raise PollError(f"Cannot describe the stack {stack}: {error}") from error
    endpoint = parameters["MomentoEndpoint"]
    try:
        credentials = (
            CredentialProvider.from_api_key_v2(api_key, endpoint)
            if endpoint
            else CredentialProvider.from_disposable_token(api_key)  # A v1 key has the form of a token.
        )
    except SdkException:  # Its message could contain a part of the key.
        raise PollError(f"The secret {secret_id} holds no Momento API key.") from None
    return Place(credentials, parameters["CacheName"])


class _Definitions:
    """The definitions and tallies of polls in the cache."""

    def __init__(self, place: Place) -> None:
        self._cache = place.cache
        self._client = CacheClient(Configurations.Laptop.latest(), place.credentials, _TTL)

    def __enter__(self) -> _Definitions:
        return self

    def __exit__(self, *_: object) -> None:
        self._client.__exit__(None, None, None)

    def get(self, poll_id: str) -> dict[str, Any] | None:
        found = _checked(self._client.get(self._cache, f"poll:{poll_id}:definition"))
        return json.loads(found.value_string) if isinstance(found, CacheGet.Hit) else None

    def put(self, poll_id: str, definition: dict[str, Any]) -> None:
        _checked(self._client.set(self._cache, f"poll:{poll_id}:definition", json.dumps(definition)))

    def put_first_tally(self, poll_id: str, tally: dict[str, int]) -> None:
        _checked(self._client.set_if_not_exists(self._cache, f"poll:{poll_id}:tally", json.dumps(tally)))


def _checked(response: object) -> object:
    if isinstance(response, ErrorResponseMixin):
        raise PollError(f"Momento answered {response.error_code.value}: {response.message}")
    return response


def main() -> int:
    """Open or close a poll, and return the exit status."""
    arguments = _parser().parse_args()
    try:
        if arguments.stack:
            place = deployed_place(arguments.stack)
        else:
            place = local_place(StackFacts.read(arguments.state_dir))
        if arguments.action == "open":
            open_poll(place, arguments.poll_id, arguments.question, arguments.choices)
            print(f"Poll {arguments.poll_id} is open")
        else:
            close_poll(place, arguments.poll_id)
            print(f"Poll {arguments.poll_id} is closed")
    except NoStackError as error:
        print(f"{error}, or give --stack", file=sys.stderr)
        return 1
    except PollError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m local.poll", description=__doc__.split("\n")[0])
    parser.add_argument("--stack", help="name of a stack on AWS (default: the running local stack)")
    parser.add_argument("--state-dir", type=Path, default=Path(".local"), help=argparse.SUPPRESS)
    actions = parser.add_subparsers(dest="action", required=True)
    opening = actions.add_parser("open", help="open a poll for a day, or reopen a closed one")
    opening.add_argument("poll_id", metavar="ID")
    opening.add_argument("question", metavar="QUESTION")
    opening.add_argument("choices", metavar="CHOICE", nargs="+")
    closing = actions.add_parser(
        "close", help="close a poll, whose tally stays for a day after the last vote"
    )
    closing.add_argument("poll_id", metavar="ID")
    return parser


if __name__ == "__main__":
    sys.exit(main())
