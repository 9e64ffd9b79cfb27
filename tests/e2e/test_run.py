"""Starting and stopping the stack, as a person at a terminal does."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from tests.support.project import ROOT
from tests.support.running_stack import StartedStack


def children(stack: StartedStack) -> list[psutil.Process]:
    """Return the processes that the stack has started."""
    started = psutil.Process(stack.pid).children(recursive=True)
    assert started
    return started


def wait_until_gone(processes: list[psutil.Process]) -> None:
    _, remaining = psutil.wait_procs(processes, timeout=10)
    assert not remaining


def test_the_demo_shows_the_comment_come_back(tmp_path: Path) -> None:
    with StartedStack(tmp_path, "--demo") as stack:
        output, _ = stack.communicate(timeout=60)
    assert stack.returncode == 0, output
    for hop in ("Sign in", "Token", "Publish", "Webhook", "Cache"):
        assert hop in output
    assert "taylor wrote" in output
    assert not (tmp_path / "stack.json").exists()


def test_the_demo_uses_the_momento_that_the_environment_says(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "local.momento", "--create-cache", "course-comments"]
    ports = ["--port", "0", "--web-port", "0", "--admin-port", "0"]
    with subprocess.Popen([*command, *ports], cwd=ROOT, stdout=subprocess.PIPE, text=True) as momento:
        assert momento.stdout is not None
        said = dict(line.split(": ", 1) for line in iter(momento.stdout.readline, "Ready: Ctrl-C stops\n"))
        address = said["gRPC"].strip()
        key = said["API key"].strip()
        with StartedStack(tmp_path, "--demo", MOMENTO_API_KEY=key, MOMENTO_ENDPOINT=address) as stack:
            output, _ = stack.communicate(timeout=60)
        momento.kill()
    assert stack.returncode == 0, output
    assert f"Using Momento at {address}" in output
    assert "The relay called" in output
    assert "taylor wrote" in output


def test_half_of_a_given_momento_is_reported_in_one_line(tmp_path: Path) -> None:
    with StartedStack(tmp_path, "--demo", MOMENTO_API_KEY="mine") as stack:
        output, _ = stack.communicate(timeout=60)
    assert stack.returncode == 1
    assert "MOMENTO_ENDPOINT is not set" in output
    assert len(output.splitlines()) == 1


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_stopping_removes_the_facts(number: signal.Signals, tmp_path: Path) -> None:
    with StartedStack(tmp_path) as stack:
        stack.wait_until_ready()
        started = children(stack)
        stack.send_signal(number)
        output, _ = stack.communicate(timeout=20)
    assert stack.returncode == 0, output
    assert "Traceback" not in output
    assert not (tmp_path / "stack.json").exists()
    wait_until_gone(started)


def test_ctrl_c_while_it_starts_leaves_nothing(tmp_path: Path) -> None:
    with StartedStack(tmp_path) as stack:
        assert stack.stdout is not None
        assert "Momento" in stack.stdout.readline()
        started = children(stack)
        os.killpg(stack.pid, signal.SIGINT)
        output, _ = stack.communicate(timeout=20)
    assert stack.returncode == 130
    assert "Traceback" not in output
    wait_until_gone(started)


def test_nothing_outlives_a_stack_that_is_killed(tmp_path: Path) -> None:
    with StartedStack(tmp_path) as stack:
        stack.wait_until_ready()
        started = children(stack)
    wait_until_gone(started)
    with StartedStack(tmp_path, "--demo") as again:
        output, _ = again.communicate(timeout=60)
    assert again.returncode == 0, output


def test_a_second_stack_runs_beside_the_first_but_not_in_its_place(tmp_path: Path) -> None:
    with StartedStack(tmp_path / "one") as first:
        first.wait_until_ready()
        facts = (tmp_path / "one" / "stack.json").read_text()
        with StartedStack(tmp_path / "one") as same:
            output, _ = same.communicate(timeout=30)
        assert same.returncode == 1
        assert "running" in output.lower()
        assert (tmp_path / "one" / "stack.json").read_text() == facts
        with StartedStack(tmp_path / "two", "--demo") as beside:
            output, _ = beside.communicate(timeout=60)
        assert beside.returncode == 0, output
