"""Run the functions in containers with SAM's local commands, on the local stack: `python -m local.sam`.

Each sample event, or those that are named, is passed to `sam local invoke`, and the answer must match the
event's file name. Then a request is sent to `sam local start-api`.
"""

import argparse
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
from local.cloudformation.template import TemplateError
from local.sam import commands
from local.sam.commands import FunctionTimedOutError, SamError
from local.sam.image import ImageError, RuntimeImage, docker_engine
from local.sam.sample_events import SampleEvent, sample_events
from local.serving.interruption import InterruptedBySignalError, until_interrupted
from local.stack.local_stack import ROOT, LocalStack, StackObserver
from local.stack.sam_profile import functions_runtime, host_architecture
from local.stack.state_directory import StackRunningError

# samconfig.toml refers to the stack in this folder.
_STATE_DIRECTORY = ROOT / ".local"
_FILE_WIDTH = 120
# Each invocation keeps a processor busy, because it starts SAM and a cold function.
_ATTEMPTS = 3
_CONCURRENCY = os.cpu_count() or 1


class SamLocal(StackObserver):
    """The steps of `python -m local.sam`, which are shown on a console."""

    def __init__(self, console: Console, samples: list[SampleEvent]) -> None:
        """Show on `console`. `samples` are the events that are passed to the functions."""
        self._console = console
        self._samples = samples

    async def run(self) -> bool:
        """Take all steps after `provide_image`. Return whether all answers were as expected.

        Raise SamError, or an error of LocalStack.
        """
        async with LocalStack(_STATE_DIRECTORY, self) as stack:
            self._done("The local stack runs")
            with self._console.status("sam build"):
                await commands.build()
            self._done("sam build")
            answered = await self._invoke_all(stack.facts.signing_secret)
            refused = await self._call_api()
        return answered and refused

    def closed_to_containers(self, reason: str) -> None:
        raise SamError(f"Containers cannot reach the local stack: {reason}")

    def provide_image(self) -> None:
        """Take the first step: pull or build an image to run functions in. Raise ImageError."""
        image = RuntimeImage(docker_engine(), functions_runtime(), host_architecture())
        if not image.exists():
            try:
                with self._console.status(f"Pulling {image.name}"):
                    image.pull()
            except ImageError as error:
                self._console.print(
                    f"  {error}\n  Building a stand-in with that name, once. This takes a minute or two."
                )
                with self._console.status("Building") as status:
                    image.build_stand_in(status.update)
        if image.is_stand_in():
            self._done(f"The functions run in a stand-in for {image.name}: Debian with the same Python")
        else:
            self._done(f"The functions run in {image.name}")

    async def _invoke_all(self, signing_secret: str) -> bool:
        slots = asyncio.Semaphore(_CONCURRENCY)
        with Progress(
            BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(), console=self._console
        ) as progress:
            task = progress.add_task("", total=len(self._samples))

            async def invoke(sample: SampleEvent) -> bool:
                async with slots:
                    succeeded = await self._invoke(sample, signing_secret)
                progress.advance(task)
                return succeeded

            async with asyncio.TaskGroup() as group:
                invocations = [group.create_task(invoke(sample)) for sample in self._samples]
        results = [invocation.result() for invocation in invocations]
        self._console.print(f"{sum(results)} of {len(results)} events answered as their names promise")
        return all(results)

    async def _invoke(self, sample: SampleEvent, signing_secret: str) -> bool:
        command = f"sam local invoke {sample.function}: {sample.name}"
        began = time.monotonic()
        try:
            answer = await self._answer(sample, signing_secret)
        except SamError as error:
            self._failed(command, str(error))
            return False
        if not sample.accepts(answer):
            self._failed(command, json.dumps(answer))
            return False
        self._done(command, time.monotonic() - began)
        return True

    async def _answer(self, sample: SampleEvent, signing_secret: str, attempts: int = _ATTEMPTS) -> Any:
        """Invoke the function. Retry if it ran out of time, because each invocation is a cold start.

        The webhook answers 202 if it has no time left to act on the message.
        """
        with tempfile.NamedTemporaryFile("w", suffix=".json") as event:
            json.dump(sample.load(signing_secret), event)
            event.flush()
            try:
                answer = await commands.invoke(sample.function, Path(event.name))
                if attempts == 1 or not (isinstance(answer, dict) and answer.get("statusCode") == 202):
                    return answer
            except FunctionTimedOutError:
                if attempts == 1:
                    raise
        self._console.print(f"  {sample.function} timed out on {sample.name}: trying again")
        return await self._answer(sample, signing_secret, attempts - 1)

    async def _call_api(self) -> bool:
        """Request a token, and expect 401: SAM runs no JWT authorizer, so the function gets no identity."""
        with self._console.status("sam local start-api"):
            async with commands.start_api() as url, aiohttp.ClientSession() as session:
                for _ in range(_ATTEMPTS):  # A cold start may time out.
                    async with session.post(f"{url}/token") as response:
                        status, answer = response.status, await response.text()
                    if status < 500:
                        break
        request = f"sam local start-api: POST {url}/token → {status} {answer}"
        # Only the function sets Cache-Control.
        if status == 401 and response.headers.get("Cache-Control") == "no-store":
            self._done(f"{request}, because SAM verifies no JWTs")
            return True
        self._failed(request, "Expected the function's answer 401.")
        return False

    def _done(self, what: str, seconds: float | None = None) -> None:
        took = "" if seconds is None else f" {seconds:.1f} s"
        self._console.print(Text.assemble(("✓ ", "green"), what, (took, "dim")), soft_wrap=True)

    def _failed(self, what: str, why: str) -> None:
        self._console.print(Text.assemble(("✗ ", "bold red"), f"{what}\n  {why}"), soft_wrap=True)


def _samples() -> list[SampleEvent]:
    """Return the sample events that the command line names, or all."""
    samples = {sample.name: sample for sample in sample_events()}
    parser = argparse.ArgumentParser(prog="python -m local.sam", description=__doc__)
    parser.add_argument(
        "events", nargs="*", metavar="EVENT", help="such as webhook/200_stored.json (default: all in events/)"
    )
    names = parser.parse_args().events or list(samples)
    for name in names:
        if name not in samples:
            parser.error(f"there is no event {name} in events/")
    return [samples[name] for name in names]


def main() -> int:
    """Take all steps, and return the exit code."""
    samples = _samples()
    console = Console(highlight=False, width=None if sys.stdout.isatty() else _FILE_WIDTH)
    began = time.monotonic()
    try:
        sam_local = SamLocal(console, samples)
        sam_local.provide_image()
        succeeded = asyncio.run(until_interrupted(sam_local.run()))
    except KeyboardInterrupt:
        return 128 + signal.SIGINT
    except InterruptedBySignalError as interruption:
        return interruption.exit_code
    except StackRunningError:
        message = (
            "A local stack is running already. Stop it first: this command starts its own in the same folder."
        )
    except (ImageError, SamError, TemplateError, AwsServicesError, aiohttp.ClientError, OSError) as error:
        message = str(error)
    else:
        console.print(f"{time.monotonic() - began:.0f} s in all")
        return 0 if succeeded else 1
    console.print(Text.assemble(("✗ ", "bold red"), message), soft_wrap=True)
    return 1


if __name__ == "__main__":
    sys.exit(main())
