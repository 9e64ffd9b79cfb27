"""The faults: each is put on the system while the load goes on, and taken off again."""

import asyncio
import random
import secrets
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from aiohttp import web

from tests.chaos.aws_proxy import Call, Trouble, cut, fails, hangs, is_slow, loses_answer
from tests.chaos.system import RELAY, SPILL_TRIES, WEBHOOK, System

_COPIES = 3
_COPIES_AT_ONCE = 6


@dataclass(frozen=True)
class Fault:
    """What goes wrong, and how that is done: for so many seconds, or as long as it takes."""

    name: str
    what: str
    inflict: Callable[[System, float], Awaitable[None]]
    joins_others: bool = True
    """Whether it may be put on together with others."""


# Momento


def momento_answers(fault: str, rpcs: str, **query: str | int) -> Callable[[System, float], Awaitable[None]]:
    """Return what has Momento fail (`/fail`) or delay (`/delay`) calls."""

    async def inflict(system: System, seconds: float) -> None:
        await system.momento(fault, rpcs=rpcs, **query)
        await asyncio.sleep(seconds)
        await system.momento("/clear-faults")

    return inflict


async def block_momento(system: System, seconds: float) -> None:
    await system.momento("/block")
    await asyncio.sleep(seconds)
    await system.momento("/unblock")


async def break_streams(system: System, seconds: float) -> None:
    await system.momento("/fail", rpcs="topic-subscribe", error="unavailable")
    await system.momento("/block")
    await system.momento("/unblock")
    await asyncio.sleep(seconds)
    await system.momento("/clear-faults")


async def reset_topic(system: System, seconds: float) -> None:
    for _ in range(2):
        await asyncio.sleep(seconds / 2)
        # Numbers start again after a topic was idle; what nobody has read by then, Momento forgets.
        async with system.load.silence():
            await asyncio.sleep(1)
            await system.reset_topic()


# AWS services


def aws(service: str, trouble: Trouble, share: float = 1.0) -> Callable[[System, float], Awaitable[None]]:
    """Return what brings trouble to a share of the calls of a service."""

    async def inflict(system: System, seconds: float) -> None:
        with system.aws.trouble(service, trouble, share) as struck:
            await asyncio.sleep(seconds)
        _see_that_it_struck(service, struck)

    return inflict


def with_momento_failing(trouble: Trouble) -> Callable[[System, float], Awaitable[None]]:
    """Return what brings trouble to SQS while writes fail, so that messages go there."""

    async def inflict(system: System, seconds: float) -> None:
        with system.aws.trouble("sqs", trouble) as struck:
            await momento_answers("/fail", "list-push-front", error="unavailable")(system, seconds)
        _see_that_it_struck("sqs", struck)

    return inflict


def _see_that_it_struck(service: str, struck: list[str]) -> None:
    """A fault that nobody came across proves nothing."""
    if not struck:
        raise AssertionError(f"no call of {service} was in trouble")


# The functions' processes


async def kill_webhook(system: System, seconds: float) -> None:
    async def kill_soon() -> None:
        await asyncio.sleep(random.uniform(0, 0.02))  # noqa: S311 - not for cryptography
        await system.kill(WEBHOOK)

    async with asyncio.TaskGroup() as killings:

        async def kill(call: Call) -> web.Response:
            killings.create_task(kill_soon())
            return await call.forward()

        await _now_and_then(system, seconds, kill)


async def kill_webhook_between_write_and_record(system: System, seconds: float) -> None:
    async def kill(call: Call) -> web.Response:
        if call.operation != "UpdateItem":
            return await call.forward()
        await system.kill(WEBHOOK)
        return cut(call)

    await _now_and_then(system, seconds, kill)


async def _now_and_then(system: System, seconds: float, kill: Trouble) -> None:
    """Kill at calls that the webhook makes, not at every one, so that others are answered in between."""

    async def kill_webhook(call: Call) -> web.Response:
        return await (kill(call) if b"IdempotencyTable" in call.body else call.forward())

    for _ in range(max(2, round(seconds / 2))):
        await asyncio.sleep(1)
        with system.aws.trouble("dynamodb", kill_webhook):
            await asyncio.sleep(0.5)


async def kill_webhook_without_secrets(system: System, seconds: float) -> None:
    with system.aws.trouble("secretsmanager", fails()) as struck:
        await system.kill(WEBHOOK)
        await asyncio.sleep(seconds)
    _see_that_it_struck("secretsmanager", struck)


async def kill_relay(system: System, seconds: float) -> None:
    await asyncio.sleep(seconds / 4)
    await system.kill(RELAY)
    await system.start_relay_function()


def hand_relay_over(*clock_errors: float) -> Callable[[System, float], Awaitable[None]]:
    """Return what has processes relay in place of the function, one after the other, with wrong clocks."""

    async def inflict(system: System, seconds: float) -> None:
        async with system.without_relay_function():
            for clock_error in clock_errors:
                async with system.relay_process(clock_error):
                    await asyncio.sleep(seconds / 2)

    return inflict


# What is signed and sent


async def rotate_signing_secret(system: System, seconds: float) -> None:
    # The third time at once: what the relay signs with is then neither the present nor the previous version.
    for pause in (seconds / 3, seconds / 3, 0.5):
        await asyncio.sleep(pause)
        await system.rotate_signing_secret(secrets.token_urlsafe(32))
        await system.kill(WEBHOOK)  # New processes know the new version.
    await asyncio.sleep(seconds / 3)


async def send_copies(system: System, seconds: float) -> None:
    secret = await system.signing_secret()
    at_once = asyncio.Semaphore(_COPIES_AT_ONCE)

    async def send(message_id: str) -> None:
        async with at_once:
            await system.send_copy(system.witness.trial.accepted[message_id], secret)

    copied: set[str] = set()
    ends_at = asyncio.get_running_loop().time() + seconds
    async with asyncio.TaskGroup() as copies:
        while asyncio.get_running_loop().time() < ends_at:
            fresh = [one for one in system.witness.trial.accepted if one not in copied]
            copied.update(fresh)
            for one in random.sample(fresh * _COPIES, len(fresh) * _COPIES):
                copies.create_task(send(one))
            await asyncio.sleep(0.2)


async def redrive(system: System, seconds: float) -> None:
    await system.set_spill_tries(2)
    await system.momento("/fail", rpcs="list-push-front", error="unavailable")
    for _ in range(2):
        await system.load.browser.publish("this is no comment")
        await system.publish_anonymously("nobody says this")
    # The first messages have used up their tries by then.
    await asyncio.sleep(max(seconds, 8))
    await system.momento("/clear-faults")
    await _until_none_is_spilled(system)
    await system.redrive()
    # What can be stored is stored now; the rest is dead again.
    await _until_none_is_spilled(system)
    await system.set_spill_tries(SPILL_TRIES)


async def _until_none_is_spilled(system: System) -> None:
    async with asyncio.timeout(60):
        while await system.spilled():  # noqa: ASYNC110 (nothing tells)
            await asyncio.sleep(0.2)


_LATE = "Momento late beyond the client's deadline"
SINGLE = (
    Fault("none", "No fault: how long things take otherwise", lambda _, seconds: asyncio.sleep(seconds)),
    Fault("momento-blocked", "Momento's ports closed, its connections cut", block_momento),
    Fault(
        "momento-unavailable",
        "Writes refused: unavailable",
        momento_answers("/fail", "list-push-front", error="unavailable"),
    ),
    Fault(
        "momento-exhausted",
        "Writes refused: a limit is reached",
        momento_answers("/fail", "list-push-front", error="resource-exhausted"),
    ),
    Fault(
        "momento-fails-after",
        "Writes made, then answered with an internal error",
        momento_answers("/fail", "list-push-front", error="internal", when="after"),
    ),
    Fault(
        "momento-cut-after",
        "Writes made, then answered with unavailable",
        momento_answers("/fail", "list-push-front", error="unavailable", when="after"),
    ),
    Fault(
        "momento-late",
        f"{_LATE}, before the write",
        momento_answers("/delay", "list-push-front", ms=1500),
    ),
    Fault(
        "momento-late-after",
        f"{_LATE}, after the write",
        momento_answers("/delay", "list-push-front", ms=1500, when="after"),
    ),
    Fault("streams-broken", "The relay's stream cut, and new ones refused", break_streams),
    Fault("topic-reset", "The topic's numbers start again, twice", reset_topic, joins_others=False),
    Fault("dynamodb-fails", "DynamoDB answers 500", aws("dynamodb", fails())),
    Fault(
        "dynamodb-throttled",
        "DynamoDB throttles half of the calls",
        aws("dynamodb", fails(400, "ProvisionedThroughputExceededException"), 0.5),
    ),
    Fault("dynamodb-slow", "DynamoDB slow, partly beyond the timeout", aws("dynamodb", is_slow(0.1, 0.8))),
    Fault("dynamodb-hangs", "DynamoDB answers nothing", aws("dynamodb", hangs)),
    Fault(
        "dynamodb-loses-answers",
        "DynamoDB does half of the calls without answering",
        aws("dynamodb", loses_answer, 0.5),
    ),
    Fault("sqs-fails", "SQS answers 500, Momento works", aws("sqs", fails())),
    Fault("sqs-and-momento-fail", "SQS answers 500, and writes are refused", with_momento_failing(fails())),
    Fault(
        "sqs-slow",
        "SQS slow, partly beyond the timeout, and writes are refused",
        with_momento_failing(is_slow(0.1, 0.8)),
    ),
    Fault(
        "sqs-loses-answers",
        "SQS does what it is asked without answering, and writes are refused",
        with_momento_failing(loses_answer),
    ),
    Fault(
        "webhook-killed", "The webhook's processes killed in mid-invocation, again and again", kill_webhook
    ),
    Fault(
        "webhook-killed-unrecorded",
        "The same, each time between a write and its record",
        kill_webhook_between_write_and_record,
    ),
    Fault(
        "secrets-fail",
        "The webhook's processes killed, and Secrets Manager answers 500",
        kill_webhook_without_secrets,
    ),
    Fault(
        "relay-killed",
        "The relay killed; the next run waits until its lease is over",
        kill_relay,
        joins_others=False,
    ),
    Fault(
        "relay-handed-over",
        "The relay killed, then its work handed over in order, twice",
        hand_relay_over(0, 0),
        joins_others=False,
    ),
    Fault(
        "clock-off",
        "The same, to relays whose clocks are 75 s ahead and 75 s behind",
        hand_relay_over(75, -75),
        joins_others=False,
    ),
    Fault("secret-rotated", "The signing secret rotated, thrice", rotate_signing_secret),
    Fault(
        "copies",
        "Each message sent to the webhook three more times, at once and in any order",
        send_copies,
    ),
    Fault(
        "dead-letters",
        "Messages that cannot be stored, and some whose tries are used up; then the redrive",
        redrive,
        joins_others=False,
    ),
)


def together(number: int, count: int) -> Fault:
    """Return a fault, `together-<number>`, which is so many others at once, chosen at random."""

    async def inflict(system: System, seconds: float) -> None:
        async with asyncio.TaskGroup() as faults:
            for fault in chosen:
                faults.create_task(_inflict_later(fault, system, seconds))

    chosen = random.sample([fault for fault in SINGLE[1:] if fault.joins_others], count)
    names = ", ".join(fault.name for fault in chosen)
    return Fault(f"together-{number}", f"At once: {names}", inflict)


async def _inflict_later(fault: Fault, system: System, seconds: float) -> None:
    await asyncio.sleep(random.uniform(0, seconds / 2))  # noqa: S311 - not for cryptography
    await fault.inflict(system, seconds)
