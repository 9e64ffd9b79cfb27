"""Runs the functions as SAM does, in containers on the local stack: `python -m local.sam`.

Every sample event goes through `sam local invoke`, and has to be answered as its name promises; then a
request goes through `sam local start-api`.
"""

import asyncio
import json
import os
import signal
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import aiohttp
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TimeElapsedColumn
from rich.text import Text

from local.aws.services import AwsServicesError
from local.sam import commands
from local.sam.commands import FunctionTimedOutError, SamError
from local.sam.image import ImageError, RuntimeImage, docker_engine
from local.sam.profile import host_architecture
from local.sample_events import SampleEvent, sample_events
from local.stack import ROOT, LocalStack
from local.state_directory import StackRunningError
from local.template import Template, TemplateError

# The folder of the stack that samconfig.toml means.
_STATE_DIRECTORY = ROOT / ".local"
_WIDTH_OF_FILES = 120
# Each invocation starts SAM and a cold function, which keep a processor busy.
_ATTEMPTS = 3
_AT_ONCE = os.cpu_count() or 1


class SamLocal:
    """The steps, each shown on a console."""

    def __init__(self, console: Console) -> None:
        """Show on `console`."""
        self._console = console

    async def run(self) -> bool:
        """Take all steps; return whether everything was answered as promised.

        Raises ImageError, SamError, and what LocalStack raises.
        """
        began = time.monotonic()
        self._provide_image()
        with self._console.status("Starting the local stack"):
            stack = LocalStack(_STATE_DIRECTORY)
        async with stack:
            self._done("The local stack runs")
            with self._console.status("sam build"):
                await commands.build()
            self._done("sam build")
            answered = await self._invoke_all(stack.facts.signing_secret)
            refused = await self._call_api()
        self._console.print(f"{time.monotonic() - began:.0f} s in all")
        return answered and refused

    def _provide_image(self) -> None:
        image = RuntimeImage(docker_engine(), _runtime(), host_architecture())
        if not image.exists():
            try:
                with self._console.status(f"Pulling {image.name}"):
                    image.pull()
            except ImageError as error:
                self._console.print(
                    f"  {error}\n  Building a stand-in for it, once. That takes a minute or two."
                )
                with self._console.status("Building") as status:
                    image.build_stand_in(status.update)
        if image.is_stand_in():
            self._done(f"The functions run in a stand-in for {image.name}: Debian with the same Python")
        else:
            self._done(f"The functions run in {image.name}")

    async def _invoke_all(self, signing_secret: str) -> bool:
        samples = sample_events()
        slots = asyncio.Semaphore(_AT_ONCE)
        with Progress(
            BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(), console=self._console
        ) as progress:
            task = progress.add_task("", total=len(samples))

            async def invoke(sample: SampleEvent) -> bool:
                async with slots:
                    kept = await self._invoke(sample, signing_secret)
                progress.advance(task)
                return kept

            kept = await asyncio.gather(*map(invoke, samples))
        self._console.print(f"{sum(kept)} of {len(kept)} events answered as their names promise")
        return all(kept)

    async def _invoke(self, sample: SampleEvent, signing_secret: str) -> bool:
        command = f"sam local invoke {sample.function} -e events/{sample.name}"
        began = time.monotonic()
        try:
            answer = await self._answer(sample, signing_secret)
        except SamError as error:
            self._failed(command, str(error))
            return False
        if not sample.is_kept_by(answer):
            self._failed(command, json.dumps(answer))
            return False
        self._done(command, time.monotonic() - began)
        return True

    async def _answer(
        self, sample: SampleEvent, signing_secret: str, attempts: int = _ATTEMPTS
    ) -> dict[str, Any]:
        """Invoke the function; again where it times out, as each is a cold start on a busy machine."""
        with tempfile.NamedTemporaryFile("w", suffix=".json") as event:
            json.dump(sample.load(signing_secret), event)
            event.flush()
            try:
                return await commands.invoke(sample.function, Path(event.name))
            except FunctionTimedOutError:
                if attempts == 1:
                    raise
        self._console.print(f"  {sample.function} timed out on {sample.name}: trying again")
        return await self._answer(sample, signing_secret, attempts - 1)

    async def _call_api(self) -> bool:
        """Ask for a token. SAM serves no JWT authorizers, and the function gives none without an identity."""
        with self._console.status("sam local start-api"):
            async with (
                commands.start_api() as url,
                aiohttp.ClientSession() as session,
                session.post(f"{url}/token") as response,
            ):
                status, answer = response.status, await response.text()
        request = f"sam local start-api: POST {url}/token → {status} {answer}"
        if status == 401 and "message" in json.loads(answer):
            self._done(f"{request}, as SAM verifies no JWTs")
            return True
        self._failed(request, "401 and a message were expected")
        return False

    def _done(self, what: str, seconds: float | None = None) -> None:
        took = "" if seconds is None else f" {seconds:.1f} s"
        self._console.print(Text.assemble(("✓ ", "green"), what, (took, "dim")), soft_wrap=True)

    def _failed(self, what: str, why: str) -> None:
        self._console.print(Text.assemble(("✗ ", "bold red"), f"{what}\n  {why}"), soft_wrap=True)


def _runtime() -> str:
    """Return the runtime that the template declares for its functions."""
    functions = Template.load(ROOT / "template.yaml", {"MomentoApiKey": "unused"}).resources(
        "AWS::Serverless::Function"
    )
    return str(next(iter(functions.values()))["Runtime"])


def main() -> int:
    """Run it; return the exit code."""
    console = Console(highlight=False)
    if not console.is_terminal:
        console = Console(highlight=False, width=_WIDTH_OF_FILES)
    try:
        return 0 if asyncio.run(SamLocal(console).run()) else 1
    except KeyboardInterrupt:
        return 128 + signal.SIGINT
    except (ImageError, SamError, StackRunningError, TemplateError, AwsServicesError, OSError) as error:
        console.print(Text.assemble(("✗ ", "bold red"), str(error)), soft_wrap=True)
        return 1


if __name__ == "__main__":
    sys.exit(main())
