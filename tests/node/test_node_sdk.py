"""Momento's own SDK for Node works against the local Momento: runs `node_sdk.test.js`."""

from __future__ import annotations

import asyncio
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from local.momento.server import MomentoServer, MomentoServerConfig

HERE = Path(__file__).parent
# Node may be the system's, or among the tools of this Python's environment.
PATH = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", os.defpath)])


async def run(*command: str, **environment: str) -> None:
    ended = await asyncio.to_thread(
        subprocess.run,
        command,
        cwd=HERE,
        env={**os.environ, "PATH": PATH, **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=100,
        check=False,
    )
    assert ended.returncode == 0, ended.stdout


async def install_sdk() -> None:
    """Install the versions in the lock file, unless they are installed."""
    installed = HERE / "node_modules" / "package-lock.json"
    lock = (HERE / "package-lock.json").read_text()
    if not installed.exists() or installed.read_text() != lock:
        await run("npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund")
        installed.write_text(lock)


@pytest.mark.skipif(not shutil.which("npm", path=PATH), reason="needs Node (npm), which is not installed")
async def test_the_sdk_for_node_works() -> None:
    await install_sdk()
    async with (
        MomentoServer(MomentoServerConfig(caches=["cache"])) as momento,
        MomentoServer(MomentoServerConfig(caches=["cache"], auth_required=False)) as open_momento,
    ):
        await run(
            "node",
            "--test",
            "--test-reporter=spec",
            "--test-timeout=90000",
            "node_sdk.test.js",
            MOMENTO=f"{momento.host}:{momento.port}",
            MOMENTO_API_KEY=momento.api_key,
            MOMENTO_WITHOUT_KEYS=f"{open_momento.host}:{open_momento.port}",
            MOMENTO_WITHOUT_KEYS_ADMIN=open_momento.admin_url,
        )
