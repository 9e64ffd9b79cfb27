"""Start the whole system on this machine: `python -m local`, which `make run` calls."""

import argparse
import asyncio
import signal
import sys
from pathlib import Path


def main() -> int:
    """Run until interrupted, or with --demo until one comment is stored. Return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m local", description=__doc__)
    parser.add_argument(
        "--demo", action="store_true", help="exit after one comment has been published, stored and read back"
    )
    parser.add_argument(
        "--state-dir",
        type=Path,
        default=Path(".local"),
        metavar="DIR",
        help="folder of the logs and stack.json (default: .local); a second stack needs its own",
    )
    parser.add_argument(
        "--parameter",
        type=_name_and_value,
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help="set a parameter of template.yaml, such as TokenLifetimeMinutes=1 (repeatable)",
    )
    arguments = parser.parse_args()
    try:
        from local.cli.run import run  # noqa: PLC0415 (slow: Ctrl-C must not print a traceback)

        return asyncio.run(run(arguments.state_dir, dict(arguments.parameter), demo=arguments.demo))
    except KeyboardInterrupt:
        return 128 + signal.SIGINT


def _name_and_value(text: str) -> tuple[str, str]:
    name, separator, value = text.partition("=")
    if not name or not separator:
        raise argparse.ArgumentTypeError(f"{text!r} is not NAME=VALUE")
    return name, value


if __name__ == "__main__":
    sys.exit(main())
