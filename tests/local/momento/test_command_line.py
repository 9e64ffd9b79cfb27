"""`python -m local.momento`, run as its users run it."""

import asyncio
import re
import signal
import socket
import sys
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack

import aiohttp
import grpc
import jwt
import pytest
from momento_wire_types import (
    cacheclient_pb2,
    cacheclient_pb2_grpc,
    cachepubsub_pb2,
    cachepubsub_pb2_grpc,
)

FREE_PORTS = ("--port", "0", "--web-port", "0", "--admin-port", "0")


class Momento:
    """The command, under way."""

    def __init__(self, process: asyncio.subprocess.Process, printed: str) -> None:
        self.process = process
        self.printed = printed

    def value(self, name: str) -> str:
        found = re.search(rf"^{name}: +(\S+)", self.printed, re.MULTILINE)
        assert found, f"no {name} in:\n{self.printed}"
        return found[1]

    async def get(self, key: str, cache: str = "made") -> cacheclient_pb2._GetResponse:
        async with grpc.aio.insecure_channel(self.value("gRPC")) as channel:
            stub = cacheclient_pb2_grpc.ScsStub(channel)
            metadata = (("authorization", key), ("cache", cache))
            request = cacheclient_pb2._GetRequest(cache_key=b"key")
            answer: cacheclient_pb2._GetResponse = await stub.Get(request, metadata=metadata)
            return answer


async def run(*arguments: str) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        sys.executable, "-m", "local.momento", *arguments, stdout=-1, stderr=-1
    )


Serve = Callable[..., Awaitable[Momento]]


@pytest.fixture
def serve(resources: AsyncExitStack) -> Serve:
    """Start the command, and wait until it says that it is ready."""

    async def serve(*arguments: str) -> Momento:
        process = await run(*FREE_PORTS, *arguments)

        async def end() -> None:
            if process.returncode is None:
                process.kill()
            await process.communicate()

        resources.push_async_callback(end)
        assert process.stdout is not None
        assert process.stderr is not None
        printed = ""
        async with asyncio.timeout(20):
            while "Ready" not in printed:
                line = await process.stdout.readline()
                assert line, (await process.stderr.read()).decode()
                printed += line.decode()
        return Momento(process, printed)

    return serve


async def complaint(*arguments: str) -> tuple[int | None, str]:
    process = await run(*arguments)
    async with asyncio.timeout(20):
        _, stderr = await process.communicate()
    return process.returncode, stderr.decode()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
async def test_it_prints_what_a_client_needs_and_stops_when_told_to(
    serve: Serve, number: signal.Signals
) -> None:
    momento = await serve("--create-cache", "made", "--create-cache", "another")
    key = momento.value("API key")
    assert jwt.decode(key, options={"verify_signature": False})["t"] == "g"
    for cache in ("made", "another"):
        assert (await momento.get(key, cache)).result == cacheclient_pb2.Miss
    async with aiohttp.ClientSession() as http:
        answer = await http.get(momento.value("Test admin") + "/health")
        assert answer.status == 200
        answer = await http.options(momento.value("gRPC-Web") + "/cache_client.Scs/Get")
        assert answer.status == 204
    momento.process.send_signal(number)
    async with asyncio.timeout(5):
        _, stderr = await momento.process.communicate()
    assert (momento.process.returncode, stderr) == (0, b"")
    with socket.socket() as probe:
        host, port = momento.value("gRPC").split(":")
        assert probe.connect_ex((host, int(port))) != 0


async def test_the_given_key_is_used(serve: Serve) -> None:
    momento = await serve("--api-key", "a-key", "--create-cache", "made")
    assert momento.value("API key") == "a-key"
    assert (await momento.get("a-key")).result == cacheclient_pb2.Miss
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await momento.get("")
    assert refused.value.code() is grpc.StatusCode.UNAUTHENTICATED


async def test_heartbeats_come_at_the_given_interval(serve: Serve) -> None:
    momento = await serve("--no-auth", "--create-cache", "made", "--heartbeat-seconds", "0.01")
    async with grpc.aio.insecure_channel(momento.value("gRPC")) as channel, asyncio.timeout(5):
        request = cachepubsub_pb2._SubscriptionRequest(cache_name="made", topic="topic")
        stream = cachepubsub_pb2_grpc.PubsubStub(channel).Subscribe(request)
        for _ in range(20):
            assert (await stream.read()).WhichOneof("kind") == "heartbeat"


async def test_without_authentication_no_key_is_needed(serve: Serve) -> None:
    momento = await serve("--no-auth", "--create-cache", "made")
    assert (await momento.get("")).result == cacheclient_pb2.Miss


async def test_webhooks_share_the_given_or_a_generated_secret(serve: Serve) -> None:
    webhooks = ("--webhook", "c/one=http://127.0.0.1:9/1", "--webhook", "c/two=http://127.0.0.1:9/2")
    momento = await serve(*webhooks)
    assert "c/one -> http://127.0.0.1:9/1" in momento.printed
    assert "c/two -> http://127.0.0.1:9/2" in momento.printed
    assert len(momento.value("Secret")) >= 32
    momento = await serve(*webhooks, "--signing-secret", "given")
    assert momento.value("Secret") == "given"


@pytest.mark.parametrize("flag", ["--port", "--web-port", "--admin-port"])
async def test_a_taken_port_names_the_flag_that_moves_it(flag: str) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        code, stderr = await complaint(*FREE_PORTS, flag, port)
    assert code == 1
    assert f"Port {port}" in stderr
    assert f"with {flag} " in stderr
    assert stderr.count("\n") == 1


@pytest.mark.parametrize("host", ["::1", "192.0.2.1"])
async def test_an_invalid_host_is_not_reported_as_a_taken_port(host: str) -> None:
    code, stderr = await complaint(*FREE_PORTS, "--host", host)
    assert code == 1
    assert stderr.startswith(f"Cannot listen on {host}: [Errno ")
    assert stderr.count("\n") == 1


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--webhook", "no-topic=http://h/"), "CACHE/TOPIC=URL"),
        (("--webhook", "c/t=ftp://h/"), "http or https"),
        (("--signing-secret", "s"), "--webhook"),
        (("--webhook", "c/t=http://h:99999/"), "CACHE/TOPIC=URL"),
        (("--create-cache", ""), "--create-cache: must not be empty"),
        (("--api-key", ""), "--api-key: must not be empty"),
        (("--webhook", "c/t=http://h/", "--signing-secret", ""), "--signing-secret: must not be empty"),
        (("--port", "99999"), "not a port"),
        (("--port", "eighty"), "not a port"),
        (("--heartbeat-seconds", "0"), "--heartbeat-seconds: '0' is not a positive number of seconds"),
        (("--heartbeat-seconds=-1",), "not a positive number"),
        (("--heartbeat-seconds", "nan"), "not a positive number"),
        (("--heartbeat-seconds", "inf"), "not a positive number"),
        (("--heartbeat-seconds", "often"), "not a positive number"),
    ],
)
async def test_a_wrong_argument_is_reported(arguments: tuple[str, ...], message: str) -> None:
    code, stderr = await complaint(*arguments)
    assert code == 2
    assert message in stderr
    assert "Traceback" not in stderr
