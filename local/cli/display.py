"""Terminal output about a stack: its parts as they start, the round trip, then its events."""

import os
import shlex
import signal
import sys
from collections.abc import Sequence
from datetime import datetime
from http import HTTPStatus
from pathlib import Path

from rich.console import Console
from rich.panel import Panel
from rich.status import Status
from rich.table import Table
from rich.text import Text

from local.cli.function_log import read_entry
from local.cli.round_trip import Hop
from local.lambda_host.host import FUNCTION_URL, AnsweredRequest
from local.momento.webhooks import Delivery
from local.stack.facts import FACTS_FILE, MomentoFacts, StackFacts
from local.stack.local_stack import MOMENTO_WEBHOOK, StackObserver

_FILE_WIDTH = 120
_LEVEL_STYLES = {"DEBUG": "dim", "WARNING": "yellow", "ERROR": "red", "CRITICAL": "red"}
_LOG_TAIL_LINES = 20


class _Console(Console):
    """A console that stops the program cleanly when its reader has closed the pipe, as `| head` does."""

    def on_broken_pipe(self) -> None:
        self.quiet = True
        # Otherwise Python would report at exit that it cannot flush standard output.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        signal.raise_signal(signal.SIGTERM)


class Display(StackObserver):
    """Show the stack on standard output: a terminal, a file or a pipe."""

    def __init__(self) -> None:
        """Show on standard output."""
        self._console = _Console(highlight=False, width=None if sys.stdout.isatty() else _FILE_WIDTH)

    def working_on(self, what: str) -> Status:
        """Return a context manager that shows a spinner with `what`, if the output is a terminal."""
        return self._console.status(what)

    def say(self, text: str) -> None:
        """Show a line."""
        self._console.print(text, markup=False, soft_wrap=True)

    def fail(self, message: str) -> None:
        """Show an error."""
        self._console.print(Text.assemble(("✗ ", "bold red"), message), soft_wrap=True)

    def hops(self, hops: Sequence[Hop]) -> None:
        """Show the hops of a comment as a table."""
        table = Table(
            title="One comment through the whole loop",
            title_justify="left",
            title_style="bold",
            caption="A function's first hop includes its cold start.",
            caption_justify="left",
        )
        table.add_column("Hop", style="bold")
        table.add_column("What happened")
        table.add_column("ms", justify="right")
        for hop in hops:
            table.add_row(hop.name, Text(hop.what_happened), f"{hop.milliseconds:.0f}")
        table.add_section()
        table.add_row("Total", "", f"{sum(hop.milliseconds for hop in hops):.0f}")
        self._console.print(table)

    def ready(self, facts: StackFacts, state_directory: Path) -> None:
        """Show the stack's addresses, and commands to try."""
        caller = "Momento" if facts.message_source == MOMENTO_WEBHOOK else "the relay, RelayFunction"
        where = Table.grid(padding=(0, 2))
        where.add_column(style="bold")
        where.add_column()
        for name, value in (
            ("Page", facts.web_url or _no_page(facts)),
            ("Users", _users(facts)),
            ("Token API", facts.token_url),
            ("Webhook", f"{facts.webhook_url} (called by {caller})"),
            ("Lambda", facts.lambda_url),
            ("AWS services", facts.aws_endpoint_url),
            ("Dead letters", facts.dead_letter_queue_url),
            *_about_momento(facts.momento),
            ("Everything", str(state_directory / FACTS_FILE)),
        ):
            where.add_row(name, Text(value))
        self._console.print(Panel(where, title="Running", title_align="left", expand=False))
        self.say("Try, in another terminal:\n")
        for what, command in _commands_to_try(facts, state_directory):
            self._console.print(f"# {what}", style="dim")
            self.say(f"{command}\n")

    def log_tail(self, file: Path) -> None:
        """Show the last lines of a function's log."""
        lines = file.read_text(encoding="utf-8").splitlines() if file.exists() else []
        self.say(f"The last lines of {file}:" if lines else f"{file} is empty.")
        for line in lines[-_LOG_TAIL_LINES:]:
            self.function_logged(file.stem, line)

    # Events of the stack, see StackObserver

    def part_started(self, name: str, where: str, seconds: float) -> None:
        self._console.print(
            Text.assemble(
                ("✓ ", "green"), (f"{name:<13}", "bold"), f"{where:<28}", (f"{seconds:.1f} s", "dim")
            )
        )

    def port_taken(self, name: str, preferred: int, port: int) -> None:
        self._console.print(f"  {name}: port {preferred} is taken, using {port}", style="yellow")

    def closed_to_containers(self, reason: str) -> None:
        self._console.print(f"  Containers cannot reach this stack: {reason}", style="yellow")

    def function_logged(self, function: str, line: str) -> None:
        if entry := read_entry(line):
            self._event(function, f"{entry.level:<8}{entry.text}", _LEVEL_STYLES.get(entry.level, ""))

    def request_answered(self, request: AnsweredRequest) -> None:
        text = f"{request.method} {request.path} → {request.status} ({request.milliseconds:.0f} ms)"
        if request.server == FUNCTION_URL and request.status == HTTPStatus.ACCEPTED:
            self._event(request.server, f"{text}: not stored yet, kept in the spill queue", "yellow")
        else:
            self._event(request.server, text, "red" if request.status >= 500 else "cyan")

    def webhook_delivered(self, delivery: Delivery) -> None:
        if not delivery.outcome.isdecimal():
            self._event("Momento", f"webhook delivery {delivery.outcome}", "red")

    def dead_letters_came(self, count: int) -> None:
        self._event(
            "Dead letters", f"{count} in the dead-letter queue: see Redrive in docs/operations.md", "red"
        )

    def _event(self, source: str, text: str, style: str) -> None:
        time = datetime.now().astimezone().strftime("%H:%M:%S.%f")[:-3]
        line = Text.assemble((f"{time} ", "dim"), (f"{source:<20}", "bold"), (text, style))
        self._console.print(line, soft_wrap=True)


def _users(facts: StackFacts) -> str:
    if not facts.users:
        return "those of the issuer in JwtIssuer"
    return ", ".join(f"{user.username} / {user.password}" for user in facts.users)


def _no_page(facts: StackFacts) -> str:
    momento = facts.momento
    if not facts.user_pool_client_id:
        return "none: it needs a user pool, but JwtIssuer names another issuer"
    if momento.local_address and not momento.web_url:
        return f"none: the address of {momento.local_address} for browsers is unknown"
    return "none: install Node (npm), and make run builds it"


def _about_momento(momento: MomentoFacts) -> list[tuple[str, str]]:
    where = f"{momento.host}:{momento.port}"
    if not momento.admin_url:
        return [("Momento", f"{where} (given by MOMENTO_API_KEY and MOMENTO_ENDPOINT)")]
    return [
        ("Momento", f"{where} (browsers: {momento.web_url})"),
        ("Test admin", f"{momento.admin_url} (makes Momento fail)"),
    ]


def _commands_to_try(facts: StackFacts, state_directory: Path) -> list[tuple[str, str]]:
    """Return descriptions and commands for another terminal."""
    event = shlex.quote('{"userId":"jordan","courseId":123,"comment":"Hello from a service"}')
    return [
        (
            "Sign in, and fetch a Momento token",
            f'{_sign_in(facts)}\ncurl -X POST {facts.token_url} -H "Authorization: Bearer $JWT"',
        ),
        (
            "Publish as a user, from a service",
            f"curl {facts.lambda_url}/2015-03-31/functions/PublisherFunction/invocations -d {event}",
        ),
        ("Watch the webhook's log", f"tail -f {state_directory / 'logs' / 'WebhookFunction.log'}"),
    ]


def _sign_in(facts: StackFacts) -> str:
    if not facts.users:
        return "JWT=... # of your issuer"
    user = facts.users[0]
    return (
        f"JWT=$(curl -s {facts.aws_endpoint_url} -H 'Content-Type: application/x-amz-json-1.1' "
        "-H 'X-Amz-Target: AWSCognitoIdentityProviderService.InitiateAuth' "
        f'-d \'{{"AuthFlow":"USER_PASSWORD_AUTH","ClientId":"{facts.user_pool_client_id}",'
        f'"AuthParameters":{{"USERNAME":"{user.username}","PASSWORD":"{user.password}"}}}}\' '
        '| sed \'s/.*"IdToken": *"\\([^"]*\\).*/\\1/\')'
    )
