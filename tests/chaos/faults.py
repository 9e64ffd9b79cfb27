"""The faults: each is put on the system while the load goes on, and taken off again."""

import asyncio
import random
import secrets
import statistics
from collections.abc import Callable, Coroutine, Iterator
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import psutil
from aiohttp import web

from local.stack.client import LoopError
from tests.chaos.aws_proxy import Call, Trouble, cut, fails, hangs, is_slow, loses_answer
from tests.chaos.load import FLOODER
from tests.chaos.system import FUNCTIONS, PUBLISHER, RELAY, SPILL_TRIES, TOKEN_VENDOR, WEBHOOK, System
from tests.chaos.witness import COMMENT, Trial, sender_id
from tests.support.flow_proxy import FlowProxy

Inflict = Callable[[System, float], Coroutine[Any, Any, None]]
"""Puts a fault on a system, and takes it off after so many seconds."""

_COPIES = 3
_COPIED_AT_ONCE = 150
"""How many are chosen from what is new, which late in a soak is thousands of messages."""
_COPIES_AT_ONCE = 6
# A client that hears nothing on a stream waits longest until it takes its connection for dead.
_SECONDS_TO_REPLACE_A_CONNECTION = 60
# HTTP/2 sends a few bytes more after an answer, over a connection that may then be idle for good.
_LEAST_BYTES_OF_A_CALL = 100
_FLOOD_MESSAGES_A_SECOND = 40
# Overtaken messages of the flood count only while so many of them wait.
_A_QUEUE = 20


class NothingStruckError(Exception):
    """A fault has struck nothing, so that it proves nothing. Chance may be the reason."""


@dataclass(frozen=True)
class Fault:
    """What goes wrong, and how that is done: for so many seconds, or as long as it takes."""

    name: str
    what: str
    inflict: Inflict
    joins_others: bool = True
    """Whether it may be put on together with others."""
    is_in_short: bool = False
    """Whether it is one of those that CI tries: the quickest of each kind."""

    seconds_at_most: float | None = 300

    async def put_on(self, system: System, seconds: float) -> None:
        """Inflict it.

        Raise NothingStruckError, AssertionError if it has done harm, or TimeoutError if it hangs.
        """
        system.witness.trial.faults.append(self.name)
        async with asyncio.timeout(self.seconds_at_most):
            await self.inflict(system, seconds)


# Momento


def momento_answers(fault: str, rpcs: str, **query: str | int) -> Inflict:
    """Return what makes Momento fail (`/fail`) or delay (`/delay`) calls."""

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


def lose_answers_to_publishers(error: str) -> Inflict:
    """Return what makes Momento publish a message now and then, and answer with an error."""

    async def inflict(system: System, seconds: float) -> None:
        for _ in range(round(seconds / 0.3)):
            await system.momento("/fail", rpcs="topic-publish", error=error, when="after", count=1)
            await asyncio.sleep(0.3)
        await system.momento("/clear-faults")

    return inflict


async def claim_ids(system: System, seconds: float) -> None:
    """Let a user publish comments of their own with the ids that another user has just used."""
    victim, thief = system.load.browsers[:2]
    trial = system.witness.trial
    seen = set(trial.accepted)
    claims = 0
    for _ in range(round(seconds / 0.3)):
        await asyncio.sleep(0.3)
        for one in [one for one in trial.accepted if one not in seen]:
            seen.add(one)
            message = trial.accepted[one]
            given = sender_id(message)
            if message.publisher_id == victim.name and given:
                claims += 1
                await system.load.say(
                    thief, f"{trial.fault}-claims", f"{trial.fault}-{thief.name}-{given}", given
                )
    if not claims:
        raise NothingStruckError("no id was there to be claimed")


async def flood(system: System, seconds: float) -> None:
    """Let one user publish far more than all others; nobody else's message may wait for the flood."""
    trial = system.witness.trial
    await system.load.flood(trial.fault, max(3 * _A_QUEUE, round(_FLOOD_MESSAGES_A_SECOND * seconds)))
    await system.until(lambda: not trial.undelivered_of(FLOODER), 120)
    shares = _shares_overtaken(trial)
    if not shares:
        raise NothingStruckError("the flood has made no queue")
    if statistics.median(shares) < 0.5:
        raise AssertionError(
            "the flood delays others: of its messages that waited when one of theirs was published, "
            f"only {statistics.median(shares):.0%} were stored after it"
        )


def _shares_overtaken(trial: Trial) -> list[float]:
    """Return, for each message of others, the share of the flood's waiting messages stored after it.

    Only what was published while a queue of the flood waited is counted.
    """
    never = float("inf")
    flood_so_far: list[str] = []
    shares = []
    for one, message in trial.accepted.items():
        if message.publisher_id == FLOODER:
            flood_so_far.append(one)
            continue
        published, stored = message.published_at / 1000, trial.stored_at.get(one, never)
        waiting = [other for other in flood_so_far if trial.stored_at.get(other, never) > published]
        if len(waiting) >= _A_QUEUE:
            overtaken = [other for other in waiting if trial.stored_at.get(other, never) > stored]
            shares.append(len(overtaken) / len(waiting))
    return shares


async def reset_topic(system: System, seconds: float) -> None:
    trial = system.witness.trial
    for _ in range(2):
        await asyncio.sleep(seconds / 2)
        # Numbers start again after a topic was idle; what nobody has read by then, Momento forgets.
        async with system.load.silence():
            await asyncio.sleep(1)
            await system.until(lambda: not trial.undelivered)
            await system.reset_topic()


# Connections that hang


def drop_flows(proxy: Callable[[System], FlowProxy], *functions: str) -> Inflict:
    """Return what silently drops the connections that functions have open through a proxy.

    Whoever uses such a connection has to find out, and to replace it.
    """

    async def inflict(system: System, seconds: float) -> None:
        with proxy(system).dropping(system.client_ports(*functions)) as dropped:
            await asyncio.sleep(seconds)
            used = [flow for flow in dropped if flow.swallowed >= _LEAST_BYTES_OF_A_CALL]
            if not used:
                raise NothingStruckError(f"no call went over any of the {len(dropped)} dropped connections")
            try:
                await system.until(
                    lambda: all(flow.is_abandoned for flow in used), _SECONDS_TO_REPLACE_A_CONNECTION
                )
            except TimeoutError:
                left = sum(not flow.is_abandoned for flow in used)
                raise AssertionError(
                    f"{left} of {len(used)} dropped connections were still in use "
                    f"{seconds + _SECONDS_TO_REPLACE_A_CONNECTION:.0f} s later"
                ) from None

    return inflict


async def drop_flows_to_momento(system: System, seconds: float) -> None:
    """Drop what the functions have open to Momento; at most one token may fail to be minted."""
    browser = system.load.browsers[0]

    async def mint() -> bool:
        try:
            # For another course each time, as tokens are kept.
            await browser.fetch_token(secrets.token_hex(8))
        except LoopError:
            return False
        return True

    async def mint_on_dropped_connection() -> None:
        await asyncio.sleep(seconds / 4)
        if not await mint() and not await mint():
            raise AssertionError("two tokens in a row could not be minted over a dropped connection")

    if not await mint():
        raise AssertionError("no token could be minted before the fault")
    drop = drop_flows(lambda system: system.flows.to_momento, TOKEN_VENDOR, PUBLISHER, WEBHOOK)
    outcomes = await asyncio.gather(
        drop(system, seconds), mint_on_dropped_connection(), return_exceptions=True
    )
    if errors := [outcome for outcome in outcomes if isinstance(outcome, Exception)]:
        raise ExceptionGroup("dropped connections to Momento", errors)


# AWS services


def aws(service: str, trouble: Trouble, share: float = 1.0) -> Inflict:
    """Return what puts a trouble on a share of the calls of a service."""

    async def inflict(system: System, seconds: float) -> None:
        with system.aws.trouble(service, trouble, share) as struck:
            await asyncio.sleep(seconds)
        _see_that_it_struck(service, struck)

    return inflict


def with_momento_failing(trouble: Trouble) -> Inflict:
    """Return what puts a trouble on SQS while writes fail, so that messages go there."""

    async def inflict(system: System, seconds: float) -> None:
        with system.aws.trouble("sqs", trouble) as struck:
            await momento_answers("/fail", "list-push-front", error="unavailable")(system, seconds)
        _see_that_it_struck("sqs", struck)

    return inflict


def _see_that_it_struck(service: str, struck: list[str]) -> None:
    if not struck:
        raise NothingStruckError(f"no call of {service} was in trouble")


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


async def slow_one_webhook_process(system: System, seconds: float) -> None:
    """Let one process of the webhook run for a tenth of the time; most messages have to pass it by."""
    trial = system.witness.trial
    published_before, stored_before = len(trial.accepted), len(trial.stored_at)
    ends_at = asyncio.get_running_loop().time() + max(seconds, 5)
    with suppress(psutil.NoSuchProcess):  # Lambda ends it if an invocation takes too long.
        process, seconds_run = _busiest(system.processes(WEBHOOK))
        try:
            while asyncio.get_running_loop().time() < ends_at:
                process.suspend()
                await asyncio.sleep(0.9)
                process.resume()
                await asyncio.sleep(0.1)
            if process.cpu_times().user == seconds_run:
                raise NothingStruckError("the slow process was not used")
        finally:
            process.resume()
    # Under a load that the system cannot carry, messages from before are stored, and those of now wait.
    published, stored = len(trial.accepted) - published_before, len(trial.stored_at) - stored_before
    if stored < published / 2:
        raise AssertionError(
            f"one slow process delays everybody: {published} messages were published meanwhile, "
            f"and {stored} were stored"
        )


def _busiest(processes: list[psutil.Process]) -> tuple[psutil.Process, float]:
    """Return the process that has run for longest, and so is used first, and its seconds of CPU time."""
    return max(((process, process.cpu_times().user) for process in processes), key=lambda pair: pair[1])


async def kill_relay(system: System, seconds: float) -> None:
    await asyncio.sleep(seconds / 4)
    await system.kill(RELAY)
    await system.start_relay_function()


def hand_relay_over(*clock_errors: float) -> Inflict:
    """Return what lets processes relay in place of the function, one after the other, with wrong clocks."""

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

    accepted_on = system.witness.trial.accepted_on

    async def send(topic: str, one: str) -> None:
        async with at_once:
            await system.send_copy(topic, accepted_on[topic][one], secret)

    copied: set[tuple[str, str]] = set()
    ends_at = asyncio.get_running_loop().time() + seconds
    async with asyncio.TaskGroup() as copies:
        while asyncio.get_running_loop().time() < ends_at:
            present = {(topic, one) for topic, accepted in accepted_on.items() for one in accepted}
            fresh = sorted(present - copied)
            copied.update(fresh)
            fresh = random.sample(fresh, min(len(fresh), _COPIED_AT_ONCE))
            system.witness.trial.aside.update(one for topic, one in fresh if topic == COMMENT)
            for topic, one in random.sample(fresh * _COPIES, len(fresh) * _COPIES):
                copies.create_task(send(topic, one))
            await asyncio.sleep(0.2)


async def redrive(system: System, seconds: float) -> None:
    await system.set_spill_tries(2)
    await system.momento("/fail", rpcs="list-push-front", error="unavailable")
    for _ in range(2):
        await system.load.browsers[0].publish("this is no comment")
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
    Fault(
        "none",
        "No fault: how long things take otherwise",
        lambda _, seconds: asyncio.sleep(seconds),
        is_in_short=True,
    ),
    Fault("momento-blocked", "Momento's ports closed, its connections cut", block_momento, is_in_short=True),
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
    Fault(
        "publish-cut-after",
        "Messages published, then answered with unavailable, now and then",
        lose_answers_to_publishers("unavailable"),
        is_in_short=True,
    ),
    Fault(
        "publish-fails-after",
        "Messages published, then answered with an internal error, now and then",
        lose_answers_to_publishers("internal"),
    ),
    Fault(
        "ids-claimed",
        "A user publishes other comments with the ids of another user's",
        claim_ids,
        is_in_short=True,
    ),
    Fault(
        "flood",
        "One user publishes far more than all the others",
        flood,
        joins_others=False,
        is_in_short=True,
    ),
    Fault("streams-broken", "The relay's stream cut, and new ones refused", break_streams, is_in_short=True),
    Fault("topic-reset", "The topic's numbers start again, twice", reset_topic, joins_others=False),
    Fault(
        "momento-flows-dropped",
        "The functions' connections to Momento silently dropped",
        drop_flows_to_momento,
        joins_others=False,
        is_in_short=True,
    ),
    Fault(
        "stream-dropped",
        "The relay's connections to Momento silently dropped",
        drop_flows(lambda system: system.flows.to_momento, RELAY),
        joins_others=False,
    ),
    Fault(
        "aws-flows-dropped",
        "All functions' connections to AWS services silently dropped",
        drop_flows(lambda system: system.flows.to_aws, *FUNCTIONS),
        joins_others=False,
        is_in_short=True,
    ),
    Fault(
        "webhook-flows-dropped",
        "The relay's connections to the webhook silently dropped",
        drop_flows(lambda system: system.flows.to_webhook, RELAY),
        joins_others=False,
    ),
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
        is_in_short=True,
    ),
    Fault(
        "votes-cut-after",
        "Votes counted, then answered with unavailable",
        momento_answers("/fail", "sorted-set-put", error="unavailable", when="after"),
    ),
    Fault("translate-fails", "Amazon Translate answers 500 to most calls", aws("translate", fails(), 0.8)),
    Fault(
        "events-lose-answers",
        "EventBridge takes half of the events without answering",
        aws("events", loses_answer, 0.5),
    ),
    Fault("sqs-fails", "SQS answers 500, Momento works", aws("sqs", fails())),
    Fault(
        "sqs-and-momento-fail",
        "SQS answers 500, and writes are refused",
        with_momento_failing(fails()),
        is_in_short=True,
    ),
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
        is_in_short=True,
    ),
    Fault(
        "secrets-fail",
        "The webhook's processes killed, and Secrets Manager answers 500",
        kill_webhook_without_secrets,
    ),
    Fault(
        "webhook-slow",
        "One of the webhook's processes stopped for nine tenths of the time",
        slow_one_webhook_process,
        joins_others=False,
    ),
    Fault(
        "relay-killed",
        "The relay killed; the next run waits until its lease is over",
        kill_relay,
        joins_others=False,
        is_in_short=True,
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
        is_in_short=True,
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
    return _joined(f"together-{number}", count)


def _joined(name: str, count: int) -> Fault:
    async def inflict(system: System, seconds: float) -> None:
        async with asyncio.TaskGroup() as faults:
            tasks = [faults.create_task(_inflict_later(fault, system, seconds)) for fault in chosen]
        if not any(task.result() for task in tasks):
            raise NothingStruckError("none of these faults has struck anything")

    chosen = random.sample([fault for fault in SINGLE[1:] if fault.joins_others], count)
    names = ", ".join(fault.name for fault in chosen)
    return Fault(name or f"({names})", f"At once: {names}", inflict, is_in_short=True)


async def _inflict_later(fault: Fault, system: System, seconds: float) -> bool:
    """Inflict it after a random pause; return False if it struck nothing, as another may prevent it."""
    await asyncio.sleep(random.uniform(0, seconds / 2))  # noqa: S311 - not for cryptography
    try:
        await fault.inflict(system, seconds)
    except NothingStruckError:
        return False
    return True


def one_after_another(number: int, messages: int, at_once: int) -> Fault:
    """Return a fault, `soak-<number>`, which is others in random order until so many messages are published.

    Between any two of them come two or more, up to `at_once`, together. After each, the system has some time
    without a fault.
    """

    async def inflict(system: System, seconds: float) -> None:
        harm: list[Exception] = []
        for fault in _in_random_order(at_once):
            if system.load.published >= messages:
                break
            try:
                await fault.put_on(system, random.uniform(seconds / 4, seconds))  # noqa: S311
            except* NothingStruckError:
                pass
            except* AssertionError as found:
                harm.extend(AssertionError(f"{fault.name}: {one}") for one in found.exceptions)
            await asyncio.sleep(random.uniform(seconds, 4 * seconds))  # noqa: S311
        if harm:
            raise ExceptionGroup("some faults have done harm", harm)

    return Fault(f"soak-{number}", "Others in random order", inflict, seconds_at_most=None)


def _in_random_order(at_once: int) -> Iterator[Fault]:
    """Return faults without end."""
    while True:
        for fault in random.sample(SINGLE, len(SINGLE)):
            yield fault
            yield _joined("", random.randint(2, at_once))  # noqa: S311
