"""Run only the local Momento: `python -m local.momento`."""

import argparse
import asyncio
import logging
import math
import signal
import sys
import threading
from collections.abc import Sequence

from local.momento.server import MomentoServer, MomentoServerConfig, PortTakenError, Timings
from local.momento.webhooks import WebhookSubscription, make_signing_secret


def main(arguments: Sequence[str] | None = None) -> int:
    """Serve until interrupted. Return 1 if a port cannot be opened. Exit with 2 if an argument is wrong."""
    parser = _parser()
    options = parser.parse_args(arguments)
    if options.signing_secret is not None and not options.webhook:
        parser.error("--signing-secret needs --webhook CACHE/TOPIC=URL")
    signing_secret = options.signing_secret or make_signing_secret()
    try:
        webhooks = [WebhookSubscription.parse(text, signing_secret) for text in options.webhook]
    except ValueError as error:
        parser.error(f"--webhook: {error}")
    config = MomentoServerConfig(
        host=options.host,
        port=options.port,
        web_port=options.web_port,
        admin_port=options.admin_port,
        api_key=options.api_key,
        auth_required=not options.no_auth,
        rate_limits=options.rate_limits,
        caches=options.create_cache,
        webhooks=webhooks,
    )
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    return asyncio.run(_serve(config, Timings(heartbeat=options.heartbeat_seconds)))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m local.momento", description="Run only the local Momento."
    )
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on (default: %(default)s)")
    parser.add_argument("--port", type=_port, default=8080, help="gRPC port (default: %(default)s; 0: any)")
    parser.add_argument(
        "--web-port", type=_port, default=8081, help="port for gRPC-Web and HTTP (default: %(default)s)"
    )
    parser.add_argument(
        "--admin-port", type=_port, default=9090, help="port of the test admin (default: %(default)s)"
    )
    parser.add_argument(
        "--api-key", type=_not_empty, help="API key of the super-user (default: a random one)"
    )
    parser.add_argument("--no-auth", action="store_true", help="accept an empty token as the super-user's")
    parser.add_argument("--rate-limits", action="store_true", help="enforce Momento's default rate limits")
    parser.add_argument(
        "--heartbeat-seconds",
        metavar="SECONDS",
        type=_seconds,
        default=Timings.heartbeat,
        help="interval of heartbeats on a subscription without messages (default: %(default)s)",
    )
    parser.add_argument(
        "--create-cache",
        metavar="NAME",
        type=_not_empty,
        action="append",
        default=[],
        help="create a cache (repeatable)",
    )
    parser.add_argument(
        "--webhook",
        metavar="CACHE/TOPIC=URL",
        action="append",
        default=[],
        help="POST the topic's messages to the URL (repeatable)",
    )
    parser.add_argument(
        "--signing-secret", type=_not_empty, help="signing secret of the webhooks (default: a random one)"
    )
    return parser


def _port(text: str) -> int:
    if not text.isdecimal() or int(text) not in range(65536):
        raise argparse.ArgumentTypeError(f"{text!r} is not a port (0 to 65535)")
    return int(text)


def _seconds(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = math.nan
    if not 0 < seconds <= threading.TIMEOUT_MAX:
        raise argparse.ArgumentTypeError(f"{text!r} is not a positive number of seconds")
    return seconds


def _not_empty(text: str) -> str:
    if not text.strip():
        raise argparse.ArgumentTypeError("must not be empty")
    return text


async def _serve(config: MomentoServerConfig, timings: Timings) -> int:
    interrupted = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, interrupted.set)
    momento = MomentoServer(config, timings)
    try:
        await momento.start()
    except PortTakenError as error:
        flag = f"--{error.setting.replace('_', '-')}"
        print(
            f"Port {error.port} on {config.host} is taken: choose another one with {flag} (0: any free port)",
            file=sys.stderr,
        )
        return 1
    except OSError as error:
        print(f"Cannot listen on {config.host}: {error}", file=sys.stderr)
        return 1
    try:
        print(f"API key:    {momento.api_key}")
        print(f"gRPC:       {momento.host}:{momento.port}")
        print(f"gRPC-Web:   {momento.web_url}")
        print(f"Test admin: {momento.admin_url}")
        for webhook in config.webhooks:
            print(f"Webhook:    {webhook.cache}/{webhook.topic} -> {webhook.url}")
        if config.webhooks:
            print(f"Secret:     {config.webhooks[0].signing_secret} (signs the webhooks)")
        print("Ready: Ctrl-C stops", flush=True)
        await interrupted.wait()
    finally:
        await momento.stop()
    return 0


if __name__ == "__main__":
    sys.exit(main())
