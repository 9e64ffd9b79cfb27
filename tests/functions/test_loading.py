"""How a function loads, and what it leaves to its first invocation: all that SnapStart must not snapshot."""

from __future__ import annotations

import os
import re
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.project import SOURCE

LOAD = """
import importlib, os, sys, threading
descriptors = set(os.listdir("/proc/self/fd"))
importlib.import_module(sys.argv[1])
print(len(os.listdir("/proc/self/task")), sorted(set(os.listdir("/proc/self/fd")) - descriptors))
"""

COLLECTIONS = """
import gc, importlib, sys
def collections(): return sum(generation["collections"] for generation in gc.get_stats())
before = collections()
importlib.import_module(sys.argv[1])
print(collections() - before < 10, len(gc.get_objects()) < 100 < gc.get_freeze_count(), gc.isenabled())
"""

OPENED = """
import importlib, sys
sys.addaudithook(lambda event, arguments: print(arguments[0]) if event == "open" else None)
importlib.import_module(sys.argv[1])
"""


@pytest.mark.skipif(not Path("/proc/self/fd").is_dir(), reason="needs /proc")
@pytest.mark.parametrize("function", ["token_vendor", "publisher", "webhook"])
def test_loading_makes_no_connection_thread_or_secret(function: str, environment: dict[str, str]) -> None:
    """Neither to AWS, whose answers would be the secrets, nor to Momento."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.setblocking(False)
        address = f"127.0.0.1:{server.getsockname()[1]}"
        printed = load(
            LOAD, function, {**environment, "AWS_ENDPOINT_URL": f"http://{address}", "MOMENTO_LOCAL": address}
        )
        with pytest.raises(BlockingIOError):
            server.accept()
    assert printed.split("\n")[-2] == "1 []"


@pytest.mark.parametrize("function", ["token_vendor", "publisher", "webhook"])
def test_the_garbage_collector_skips_what_was_loaded(function: str, environment: dict[str, str]) -> None:
    assert load(COLLECTIONS, function, environment).split("\n")[-2] == "True True True"


@pytest.mark.parametrize("function", ["token_vendor", "publisher", "webhook"])
def test_only_the_used_aws_services_are_read(function: str, environment: dict[str, str]) -> None:
    read = set(re.findall(r"botocore/data/([\w-]+)", load(OPENED, function, environment)))
    assert "secretsmanager" in read
    assert read <= {"dynamodb", "secretsmanager", "partitions", "_retry", "sdk-default-configuration"}


def load(script: str, function: str, environment: dict[str, str]) -> str:
    """Load a function in a new process by a script, and return what it prints."""
    return subprocess.run(
        [sys.executable, "-c", script, f"{function}.handler"],
        env={**os.environ, **environment, "PYTHONPATH": str(SOURCE)},
        capture_output=True,
        text=True,
        check=True,
    ).stdout
