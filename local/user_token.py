"""Sign in as a user of the running local stack, and fetch a Momento token, as a browser does.

    python -m local.user_token taylor --read comment=123 --read poll=42

This prints the token API's answer.
"""

import argparse
import asyncio
import json
import sys
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from momento import CredentialProvider

from local.stack.client import LoopError, fetch_token, sign_in, token_credentials
from local.stack.facts import NoStackError, StackFacts

STATE_DIRECTORY = Path(".local")


def credentials(token: Mapping[str, Any], state_directory: Path = STATE_DIRECTORY) -> CredentialProvider:
    """Return credentials for Momento's SDK from `token`, an answer of the running stack's token API."""
    return token_credentials(StackFacts.read(state_directory).momento, token["authToken"])


async def _user_token(facts: StackFacts, username: str, reads: Mapping[str, Sequence[str]]) -> dict[str, Any]:
    for user in facts.users:
        if user.username == username:
            return await fetch_token(facts, await sign_in(facts, user), reads)
    names = ", ".join(user.username for user in facts.users) or "none"
    raise LoopError(f"The local stack has no user {username}. Its users: {names}.")


def _topic_and_id(text: str) -> tuple[str, str]:
    topic, separator, id_ = text.partition("=")
    if not separator:
        raise argparse.ArgumentTypeError(f"{text!r} is not TOPIC=ID")
    return topic, id_


def main() -> int:
    """Print the token or an error. Return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m local.user_token", description=__doc__.split("\n")[0])
    parser.add_argument("username", help="a user of the local stack, such as taylor")
    parser.add_argument(
        "--read",
        type=_topic_and_id,
        action="append",
        default=[],
        metavar="TOPIC=ID",
        help="allow the token to read this, such as comment=123 (repeatable)",
    )
    parser.add_argument(
        "--state-dir",
        type=Path,
        default=STATE_DIRECTORY,
        metavar="DIR",
        help="state directory of the stack (default: .local)",
    )
    arguments = parser.parse_args()
    reads: dict[str, list[str]] = defaultdict(list)
    for topic, id_ in arguments.read:
        reads[topic].append(id_)
    try:
        facts = StackFacts.read(arguments.state_dir)
        print(json.dumps(asyncio.run(_user_token(facts, arguments.username, reads))))
    except (LoopError, NoStackError) as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
