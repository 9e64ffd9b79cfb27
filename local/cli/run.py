"""Start the stack, send one comment through it, and serve: `make run` and `make demo`."""

import asyncio
import logging
import os
from collections.abc import Mapping
from contextlib import AsyncExitStack
from pathlib import Path

from local.aws.services import AwsServicesError
from local.cli.display import Display
from local.cli.round_trip import COMMENT, Hop, round_trip
from local.cloudformation.template import TemplateError
from local.serving.interruption import InterruptedBySignalError, until_interrupted
from local.stack.client import LoopError
from local.stack.given_momento import GivenMomento, GivenMomentoError
from local.stack.local_stack import LocalStack
from local.stack.state_directory import StackRunningError


async def run(state_directory: Path, parameters: Mapping[str, str], *, demo: bool) -> int:
    """Run until a signal arrives, or with `demo` until the round trip is done. Return the exit code.

    `parameters` are values of the template's parameters. If MOMENTO_API_KEY and MOMENTO_ENDPOINT are set in
    the environment, the stack uses that Momento instead of its own. A signal gives exit code 0 only once the
    stack is serving.
    """
    display = Display()
    try:
        given_momento = GivenMomento.from_environment(os.environ)
    except GivenMomentoError as error:
        display.fail(str(error))
        return 1
    if given_momento:
        display.say(f"Using Momento at {given_momento.host}:{given_momento.port} instead of a local one.")
    # The display already shows the outcome of each delivery.
    logging.getLogger("local.momento.webhooks").addFilter(lambda record: not hasattr(record, "outcome"))
    serving = asyncio.Event()
    try:
        stack = LocalStack(state_directory, display, parameters, given_momento=given_momento)
        return await until_interrupted(_work(stack, state_directory, display, serving, demo=demo))
    except InterruptedBySignalError as interruption:
        display.say("Stopped.")
        return 0 if serving.is_set() else interruption.exit_code
    except (StackRunningError, TemplateError, AwsServicesError) as error:
        display.fail(str(error))
        return 1
    except OSError as error:
        display.fail(f"The local stack failed: {error}")
        return 1


async def _work(
    stack: LocalStack,
    state_directory: Path,
    display: Display,
    serving: asyncio.Event,
    *,
    demo: bool,
) -> int:
    async with AsyncExitStack() as resources:
        with display.working_on("Starting"):
            await resources.enter_async_context(stack)
        succeeded = True
        if COMMENT in stack.facts.topics:
            with display.working_on("Sending a comment"):
                succeeded = await _show_round_trip(stack, display)
        if demo:
            return 0 if succeeded else 1
        display.ready(stack.facts, state_directory)
        serving.set()
        await stack.ended()
        serving.clear()
        display.fail(f"The AWS services stopped unexpectedly. See their log: {stack.logs / 'aws.log'}")
        return 1


async def _show_round_trip(stack: LocalStack, display: Display) -> bool:
    hops: list[Hop] = []
    try:
        await round_trip(stack, hops.append)
    except LoopError as error:
        display.hops(hops)
        display.fail(f"The round trip failed. {error}")
        if error.function:
            display.log_tail(stack.logs / f"{error.function}.log")
        return False
    display.hops(hops)
    return True
