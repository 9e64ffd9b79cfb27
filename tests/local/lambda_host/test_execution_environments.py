"""The processes of functions: how many there are, how they end, and what they find around them."""

import asyncio
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import psutil
import pytest

from local.aws.credentials import Credentials
from local.aws.services import AwsServicesError
from local.cloudformation.template import Template
from local.lambda_host.declaration import declared_functions
from local.lambda_host.execution_environment import ExecutionEnvironment
from local.lambda_host.function import Function
from local.lambda_host.host import LambdaHost
from local.lambda_host.invocation import InvocationResult
from tests.support.jwt_issuer import ISSUER
from tests.support.lambda_host import FOLDER, HostFactory, assume_role


async def _invoke(host: LambdaHost, function: str, event: Any) -> Any:
    result = await host.invoke(function, json.dumps(event).encode())
    assert result.function_error is None, result.payload
    return json.loads(result.payload)


def _error(result: InvocationResult) -> tuple[str, str]:
    assert result.function_error == "Unhandled"
    error = json.loads(result.payload)
    return error["errorType"], error["errorMessage"]


# What another process does is no event here: look until it is so.


async def _wait_until_gone(pid: int) -> None:
    async with asyncio.timeout(10):
        while psutil.pid_exists(pid):  # noqa: ASYNC110
            await asyncio.sleep(0.01)


async def _wait_for_who_came(folder: Path) -> int:
    """Return the process id of the invocation of MeetFunction that has come to the folder."""
    async with asyncio.timeout(10):
        while not (files := list(folder.iterdir())):  # noqa: ASYNC110, ASYNC240
            await asyncio.sleep(0.01)
    return int(files[0].name)


async def test_concurrent_invocations_run_in_separate_processes(host: LambdaHost, tmp_path: Path) -> None:
    (tmp_path / "met").mkdir()
    event = {"folder": str(tmp_path / "met"), "expected": 3}
    pids = await asyncio.gather(*(_invoke(host, "MeetFunction", event) for _ in range(3)))
    assert len(set(pids)) == 3


async def test_invocations_one_after_another_share_a_process(host: LambdaHost) -> None:
    answers = [await _invoke(host, "EchoFunction", number) for number in range(3)]
    assert [answer["invocations"] for answer in answers] == [1, 2, 3]
    assert len({answer["pid"] for answer in answers}) == 1
    assert len({answer["request_id"] for answer in answers}) == 3


async def test_the_process_used_last_is_used_first(host: LambdaHost, tmp_path: Path) -> None:
    (tmp_path / "met").mkdir()
    both = {"folder": str(tmp_path / "met"), "expected": 2}
    await asyncio.gather(*(_invoke(host, "MeetFunction", both) for _ in range(2)))
    alone = {"folder": str(tmp_path / "met"), "expected": 0}
    pids = {await _invoke(host, "MeetFunction", alone) for _ in range(4)}
    assert len(pids) == 1


async def test_a_process_that_has_ended_while_idle_is_replaced(host: LambdaHost) -> None:
    first = (await _invoke(host, "EchoFunction", {}))["pid"]
    os.kill(first, signal.SIGKILL)
    # The invocations that come before its end is known may fail, as on Lambda; none may be forgotten.
    async with asyncio.timeout(10):
        while (result := await host.invoke("EchoFunction", b"{}")).function_error:
            assert _error(result)[0] == "Runtime.ExitError"
    assert json.loads(result.payload)["pid"] != first


async def test_invocations_beyond_the_limit_wait(start_host: HostFactory) -> None:
    async with start_host(max_concurrency=1) as host:
        answers = await asyncio.gather(*(_invoke(host, "EchoFunction", number) for number in range(20)))
    assert [answer["event"] for answer in answers] == list(range(20))
    assert sorted(answer["invocations"] for answer in answers) == list(range(1, 21))


async def test_an_invocation_that_takes_too_long_is_ended(host: LambdaHost) -> None:
    began = time.monotonic()
    result = await host.invoke("SlowFunction", b"30")
    kind, message = _error(result)
    assert time.monotonic() - began < 10
    assert kind == "Sandbox.Timedout"
    assert message.endswith(f"Z {result.request_id} Task timed out after 1.00 seconds")
    assert message in result.log
    assert await _invoke(host, "SlowFunction", 0)


async def test_each_invocation_has_its_full_time(host: LambdaHost) -> None:
    first = await _invoke(host, "SlowFunction", 0)
    await asyncio.sleep(0.8)
    assert await _invoke(host, "SlowFunction", 0.4) == first


async def test_only_an_environment_that_asks_gets_an_invocation() -> None:
    template = Template.load(FOLDER / "template.yaml", {"Issuer": ISSUER})
    configuration = declared_functions(template, FOLDER, {})["EchoFunction"]
    function = Function(configuration, 1, assume_role, lambda _function, _line: None)
    ended = ExecutionEnvironment(
        configuration,
        assume_role=assume_role,
        became_idle=function.became_idle,
        failed_to_start=function.failed_to_start,
        on_log_line=lambda _line: None,
    )
    function.became_idle(ended)  # Its process has ended, and that is not known yet.
    result = await function.invoke(b"{}")
    await function.stop()
    assert result.function_error is None


@asynccontextmanager
async def _slow_function(on_log_line: Callable[[str, str], None]) -> AsyncIterator[Function]:
    """Run the echo function with a timeout that no test waits for."""
    template = Template.load(FOLDER / "template.yaml", {"Issuer": ISSUER})
    configuration = replace(declared_functions(template, FOLDER, {})["EchoFunction"], timeout=900)
    function = Function(configuration, 1, assume_role, on_log_line)
    yield function
    await function.stop()


async def test_an_invocation_that_cannot_be_handed_over_fails_at_once() -> None:
    async with _slow_function(lambda _function, _line: None) as function:
        # No header of the Runtime API can hold it.
        result = await function.invoke(b"{}", client_context='{"custom":\n{}}')
        assert _error(result)[0] == "ServiceException"
        assert (await function.invoke(b"{}")).function_error is None


async def test_an_invocation_whose_start_cannot_be_logged_fails_at_once() -> None:
    full = True

    def log(_function: str, line: str) -> None:
        if full and line.startswith("START"):
            raise OSError("the disk is full")

    async with _slow_function(log) as function:
        for _ in range(2):
            assert _error(await function.invoke(b"{}")) == ("ServiceException", "the disk is full")
        full = False
        assert (await function.invoke(b"{}")).function_error is None


@pytest.mark.parametrize(
    ("event", "reason"),
    [(0, "Runtime exited without providing a reason"),
     (7, "Runtime exited with error: exit status 7"),
     ("signal", "Runtime exited with error: signal: SIGABRT")],
)  # fmt: skip
async def test_an_invocation_fails_if_its_process_ends(host: LambdaHost, event: object, reason: str) -> None:
    result = await host.invoke("ExitFunction", json.dumps(event).encode())
    assert _error(result) == ("Runtime.ExitError", f"RequestId: {result.request_id} Error: {reason}")
    assert "about to exit" in result.log


@pytest.mark.parametrize(
    ("function", "kind", "message"),
    [
        ("BrokenFunction", "RuntimeError", "broken at import"),
        ("MissingFunction", "Runtime.HandlerNotFound", "Handler 'not_there' missing on module 'handlers'"),
        ("VanishingFunction", "Runtime.ExitError", "Runtime exited with error: exit status 3"),
    ],
)
async def test_a_function_that_cannot_start_says_why(
    host: LambdaHost, function: str, kind: str, message: str
) -> None:
    assert _error(await host.invoke(function, b"{}")) == (kind, message)


async def test_a_function_that_cannot_start_is_started_once_for_each_invocation(
    host: LambdaHost, log_lines: list[tuple[str, str]]
) -> None:
    results = await asyncio.gather(*(host.invoke("BrokenFunction", b"{}") for _ in range(4)))
    assert [_error(result)[1] for result in results] == ["broken at import"] * 4
    assert await _invoke(host, "EchoFunction", {})
    starts = [line for function, line in log_lines if function == "BrokenFunction" and "[ERROR]" in line]
    assert len(starts) == 4


async def test_a_function_has_lambdas_environment(host: LambdaHost, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_PROFILE", "the-developers-own")
    monkeypatch.setenv("MOMENTO_API_KEY", "the-developers-own")
    found = await _invoke(host, "EnvironmentFunction", {})
    variables = found["variables"]
    assert "the-developers-own" not in variables.values()
    assert variables["GREETING"] == "hello"
    assert variables["SOME_ENDPOINT"] == "127.0.0.1:1"
    assert variables["AWS_LAMBDA_FUNCTION_NAME"] == "EnvironmentFunction"
    assert variables["AWS_LAMBDA_FUNCTION_MEMORY_SIZE"] == "256"
    assert variables["AWS_LAMBDA_LOG_GROUP_NAME"] == "/aws/lambda/EnvironmentFunction"
    assert variables["_HANDLER"] == "handlers.environment"
    assert variables["LAMBDA_TASK_ROOT"] == str(FOLDER / "functions")
    assert variables["_X_AMZN_TRACE_ID"].startswith("Root=1-")
    assert found["path"][0] == str(FOLDER / "functions")
    assert str(Path.cwd()) not in found["path"]
    assert found["stdin"] == ""


@pytest.mark.parametrize(
    ("function", "credentials"),
    [
        ("RoleFunction", ("arn:aws:iam::123456789012:role/reader", "RoleFunction", "token")),
        ("EnvironmentFunction", ("local", "local", "local")),
    ],
)
async def test_a_function_has_the_credentials_of_its_role(
    host: LambdaHost, function: str, credentials: tuple[str, ...]
) -> None:
    variables = (await _invoke(host, function, {}))["variables"]
    names = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN")
    assert tuple(variables[name] for name in names) == credentials


async def test_a_function_whose_role_cannot_be_assumed_fails(start_host: HostFactory) -> None:
    async def refuse(role_arn: str, session_name: str) -> Credentials:
        raise AwsServicesError("no credentials")

    async with start_host(assume_role=refuse) as host:
        assert _error(await host.invoke("RoleFunction", b"{}")) == ("ServiceException", "no credentials")


async def test_both_streams_go_to_the_log_of_the_function_in_order(
    host: LambdaHost, log_lines: list[tuple[str, str]], tmp_path: Path
) -> None:
    lines = ["one", "zwö", "x" * 200_000, ""]
    await _invoke(host, "LogFunction", lines)
    doubled = [line for line in lines for _ in range(2)]
    assert [line for _, line in log_lines[1:-2]] == doubled
    assert (tmp_path / "logs" / "LogFunction.log").read_text().split("\n")[1:-3] == doubled


async def test_stopping_ends_all_processes_and_answers_running_invocations(
    start_host: HostFactory, log_lines: list[tuple[str, str]], tmp_path: Path
) -> None:
    (tmp_path / "met").mkdir()
    async with start_host() as host:
        idle = (await _invoke(host, "EchoFunction", {}))["pid"]
        event = json.dumps({"folder": str(tmp_path / "met"), "expected": 99}).encode()
        running = asyncio.create_task(host.invoke("MeetFunction", event))
        busy = await _wait_for_who_came(tmp_path / "met")
    assert _error(await running)[0] == "Runtime.ExitError"
    assert not any("Error" in line for _, line in log_lines)
    assert not psutil.pid_exists(idle)
    assert not psutil.pid_exists(busy)


_HOST_ALONE = """
import asyncio, json, sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from local.lambda_host.host import LambdaHost
from local.cloudformation.template import Template

async def main(folder, issuer, scratch):
    template = Template.load(folder / "template.yaml", {"Issuer": issuer})
    async with LambdaHost(
        template,
        folder,
        environment={},
        aws_endpoint_url="",
        assume_role=None,
        jwks_urls={issuer: ""},
        log_folder=scratch / "logs",
    ) as host:
        echo = json.loads((await host.invoke("EchoFunction", b"{}")).payload)
        print(echo["pid"], flush=True)
        event = {"folder": str(scratch / "met"), "expected": 99}
        await host.invoke("MeetFunction", json.dumps(event).encode())

asyncio.run(main(Path(sys.argv[1]), sys.argv[2], Path(sys.argv[3])))
"""


async def test_no_process_outlives_a_host_that_is_killed(tmp_path: Path) -> None:
    (tmp_path / "met").mkdir()
    with subprocess.Popen(  # noqa: ASYNC220
        [sys.executable, "-c", _HOST_ALONE, str(FOLDER), ISSUER, str(tmp_path)],
        stdout=subprocess.PIPE,
        text=True,
    ) as host:
        assert host.stdout
        idle = int(await asyncio.to_thread(host.stdout.readline))
        busy = await _wait_for_who_came(tmp_path / "met")
        host.send_signal(signal.SIGKILL)
    await _wait_until_gone(idle)
    await _wait_until_gone(busy)
