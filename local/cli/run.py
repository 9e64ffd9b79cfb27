"""What `make run` and `make demo` do: start the stack, show one comment's way through it, serve."""

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
    """Run until a signal comes, or with `demo` until the round trip is done; return the exit code.

    `parameters` are values of the template's parameters. MOMENTO_API_KEY and MOMENTO_ENDPOINT in the
    environment say of a Momento to use in place of the stack's own.
    Interrupting a stack that serves is how it ends well; interrupting anything before is not.
    """
    display = Display()
    try:
        given_momento = GivenMomento.from_environment(os.environ)
    except GivenMomentoError as error:
        display.fail(str(error))
        return 1
    if given_momento:
        display.say(f"Momento is the one at {given_momento.host}:{given_momento.port}; this starts none.")
    # The display shows what becomes of messages: the log is not to say it again.
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
        display.fail(f"The local stack cannot run: {error}")
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
        came_back = True
        if COMMENT in stack.facts.topics:
            with display.working_on("Sending a comment"):
                came_back = await _show_round_trip(stack, display)
        if demo:
            return 0 if came_back else 1
        display.ready(stack.facts, state_directory)
        serving.set()
        await stack.ended()
        serving.clear()
        display.fail(f"The AWS services have ended by themselves. Their log is {stack.logs / 'aws.log'}.")
        return 1


async def _show_round_trip(stack: LocalStack, display: Display) -> bool:
    hops: list[Hop] = []
    try:
        await round_trip(stack, hops.append)
    except LoopError as error:
        display.hops(hops)
        display.fail(f"The comment did not come back. {error}")
        if error.function:
            display.log_tail(stack.logs / f"{error.function}.log")
        return False
    display.hops(hops)
    return True
