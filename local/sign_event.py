"""Sign a sample webhook event with current times, so that the webhook accepts it.

    python -m local.sign_event events/webhook/200_stored.json > fresh.json
    sam local invoke WebhookFunction --event fresh.json

The default secret is that of the running local stack; `--secret` sets another one. `--curl` prints a curl
command for the local stack's webhook instead of the event; `--url` prints one for another webhook, such as
that of a deployed stack.
"""

from __future__ import annotations

import argparse
import base64
import json
import shlex
import sys
import time
from pathlib import Path
from typing import Any

from local.momento.webhooks import sign
from local.stack.facts import NoStackError, StackFacts


def main() -> int:
    """Print the event or the curl command. Return the exit status."""
    arguments = _parser().parse_args()
    try:
        event = _read_event(arguments.event)
        secret = arguments.secret or StackFacts.read(arguments.state_dir).signing_secret
        signed = sign_event(event, secret, None if arguments.keep_times else time.time())
        url = arguments.url
        if arguments.curl and not url:
            url = StackFacts.read(arguments.state_dir).webhook_url
    except (OSError, ValueError) as error:
        print(error, file=sys.stderr)
        return 1
    except NoStackError as error:
        instead = "--secret and --url" if arguments.curl else "--secret"
        print(f"{error}, or give {instead}", file=sys.stderr)
        return 1
    print(_curl_command(signed, url) if url else json.dumps(signed, indent=2, ensure_ascii=False))
    return 0


def sign_event(event: dict[str, Any], secret: str, now: float | None) -> dict[str, Any]:
    """Return the event with a signature, and with its body's times set to `now` (epoch seconds), if given."""
    body = _body(event)
    if now is not None:
        body = _with_times(body, int(now * 1000))
    text = base64.b64encode(body) if event.get("isBase64Encoded") else body
    return {
        **event,
        "body": text.decode(),
        "headers": {**event["headers"], "momento-signature": sign(body, secret)},
    }


def _read_event(path: Path) -> dict[str, Any]:
    event = json.loads(path.read_text())
    if not isinstance(event, dict) or not {"body", "headers"} <= set(event):
        raise ValueError(f"{path} is not a webhook event: it needs a body and headers")
    return event


def _body(event: dict[str, Any]) -> bytes:
    """Return the body's bytes. Raise ValueError if `isBase64Encoded` is wrong."""
    body: str = event["body"]
    return base64.b64decode(body, validate=True) if event.get("isBase64Encoded") else body.encode()


def _with_times(body: bytes, now_ms: int) -> bytes:
    try:
        fields = json.loads(body)
    except ValueError:
        return body
    if not isinstance(fields, dict):
        return body
    times = {"event_timestamp": now_ms, "publish_timestamp": now_ms}
    return json.dumps({**fields, **{name: time for name, time in times.items() if name in fields}}).encode()


def _curl_command(event: dict[str, Any], url: str) -> str:
    command = ["curl", "--silent", "--include", url]
    for name, value in event["headers"].items():
        command += ["--header", f"{name}: {value}"]
    if event.get("isBase64Encoded"):  # A command argument cannot contain every byte.
        decoded = f"echo {shlex.quote(event['body'])} | base64 --decode"
        return f"{decoded} | {shlex.join(command)} --data-binary @-"
    return shlex.join([*command, "--data-raw", event["body"]])


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m local.sign_event", description=__doc__.split("\n")[0])
    parser.add_argument("event", type=Path, help="sample event, such as events/webhook/200_stored.json")
    parser.add_argument("--secret", help="signing secret (default: the local stack's)")
    parser.add_argument(
        "--keep-times", action="store_true", help="keep the event's times instead of the current time"
    )
    parser.add_argument(
        "--curl", action="store_true", help="print a curl command for the local stack instead"
    )
    parser.add_argument("--url", help="print a curl command for the webhook at this URL instead")
    parser.add_argument("--state-dir", type=Path, default=Path(".local"), help=argparse.SUPPRESS)
    return parser


if __name__ == "__main__":
    sys.exit(main())
