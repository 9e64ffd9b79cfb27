"""Starting and stopping the stack, as a person at a terminal does."""

from __future__ import annotations

import os
import signal
import subprocess
from pathlib import Path

import psutil
import pytest

from .conftest import start_stack, wait_until_ready


def children(process: subprocess.Popen[str]) -> list[psutil.Process]:
    """The processes that the stack has started."""
    started = psutil.Process(process.pid).children(recursive=True)
    assert started
    return started


def wait_until_gone(processes: list[psutil.Process]) -> None:
    _, remaining = psutil.wait_procs(processes, timeout=10)
    assert not remaining


def test_the_demo_shows_the_comment_come_back(tmp_path: Path) -> None:
    process = start_stack(tmp_path, "--demo")
    output, _ = process.communicate(timeout=60)
    assert process.returncode == 0, output
    for hop in ("Sign in", "Token", "Publish", "Webhook", "Cache"):
        assert hop in output
    assert "taylor wrote" in output
    assert not (tmp_path / "stack.json").exists()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_it_stops_cleanly_and_takes_its_facts_with_it(number: signal.Signals, tmp_path: Path) -> None:
    process = start_stack(tmp_path)
    wait_until_ready(process, tmp_path)
    started = children(process)
    process.send_signal(number)
    output, _ = process.communicate(timeout=20)
    assert process.returncode == 0, output
    assert "Traceback" not in output
    assert not (tmp_path / "stack.json").exists()
    wait_until_gone(started)


def test_ctrl_c_while_it_starts_leaves_nothing(tmp_path: Path) -> None:
    process = start_stack(tmp_path)
    assert process.stdout is not None
    assert "Momento" in process.stdout.readline()
    started = children(process)
    os.killpg(process.pid, signal.SIGINT)
    output, _ = process.communicate(timeout=20)
    assert process.returncode == 130
    assert "Traceback" not in output
    wait_until_gone(started)


def test_nothing_outlives_a_stack_that_is_killed(tmp_path: Path) -> None:
    process = start_stack(tmp_path)
    wait_until_ready(process, tmp_path)
    started = children(process)
    process.kill()
    process.communicate(timeout=20)
    wait_until_gone(started)
    again = start_stack(tmp_path, "--demo")
    output, _ = again.communicate(timeout=60)
    assert again.returncode == 0, output


def test_a_second_stack_runs_beside_the_first_but_not_in_its_place(tmp_path: Path) -> None:
    first = start_stack(tmp_path / "one")
    wait_until_ready(first, tmp_path / "one")
    try:
        facts = (tmp_path / "one" / "stack.json").read_text()
        same = start_stack(tmp_path / "one")
        output, _ = same.communicate(timeout=30)
        assert same.returncode == 1
        assert "running" in output.lower()
        assert (tmp_path / "one" / "stack.json").read_text() == facts
        beside = start_stack(tmp_path / "two", "--demo")
        output, _ = beside.communicate(timeout=60)
        assert beside.returncode == 0, output
    finally:
        first.send_signal(signal.SIGINT)
        first.communicate(timeout=20)
