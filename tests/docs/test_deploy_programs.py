"""The Python programs of docs/deploy.md run as they are, connected to the local stack instead of Momento."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Iterator

import pytest

from tests.support.project import ROOT
from tests.support.running_stack import Stack, running_stack

from .command_blocks import command_blocks

PROGRAM = re.compile(r"^python - <<'PY'\n(.*?)^PY$", re.MULTILINE | re.DOTALL)
CREATE_CACHE, PUBLISH, READ = [
    program for block in command_blocks("docs/deploy.md") for program in PROGRAM.findall(block.commands)
]
CONNECT_LOCALLY = """\
from dataclasses import replace
from momento import CredentialProvider

def connecting_locally(make):
    address = {"control_endpoint": HOST, "cache_endpoint": HOST, "token_endpoint": HOST, "port": PORT}
    return staticmethod(lambda *arguments: replace(make(*arguments), **address))

CredentialProvider.from_api_key_v2 = connecting_locally(CredentialProvider.from_api_key_v2)
CredentialProvider.from_disposable_token = connecting_locally(CredentialProvider.from_disposable_token)
"""


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    with running_stack(tmp_path_factory.mktemp("stack")) as stack:
        yield stack


@pytest.fixture(scope="module")
def token(stack: Stack) -> dict[str, str]:
    """Return a token as section 3 of the document fetches it."""
    token: dict[str, str] = stack.token(stack.jwt("taylor"), {"courseIds": ["123"]}).json
    return token


def run(program: str, stack: Stack, **environment: str) -> subprocess.CompletedProcess[str]:
    momento = stack.facts["momento"]
    address = f"HOST, PORT = {momento['host']!r}, {momento['port']}\n"
    return subprocess.run(
        [sys.executable, "-c", address + CONNECT_LOCALLY + program],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )


def test_creates_the_cache_with_a_v2_key(stack: Stack) -> None:
    momento = stack.facts["momento"]
    created = run(CREATE_CACHE, stack, KEY=momento["api_key"], ENDPOINT=momento["host"])
    assert (created.returncode, created.stdout) == (0, "The cache is there.\n"), created.stderr


def test_publishes_and_reads_what_the_webhook_has_stored(stack: Stack, token: dict[str, str]) -> None:
    before = len(stack.entries("123"))
    published = run(PUBLISH, stack, TOKEN=json.dumps(token))
    assert (published.returncode, published.stdout) == (0, "The comment is published.\n"), published.stderr
    stack.wait_for_entries("123", before + 1)
    read = run(READ, stack, TOKEN=json.dumps(token))
    assert read.returncode == 0, read.stderr
    newest = json.loads(read.stdout.splitlines()[0])
    assert (newest["userID"], newest["comment"]) == ("taylor", "Hello")


@pytest.mark.parametrize(("program", "says"), [(PUBLISH, "not published"), (READ, "no comments")])
def test_a_program_that_is_refused_says_so_and_fails(
    program: str, says: str, stack: Stack, token: dict[str, str]
) -> None:
    refused = run(program, stack, TOKEN=json.dumps({**token, "cacheName": "another-cache"}))
    assert refused.returncode == 1
    assert says in refused.stderr


def test_creating_a_cache_with_a_key_that_momento_does_not_know_says_so_and_fails(stack: Stack) -> None:
    header_and_claims = stack.facts["momento"]["api_key"].rpartition(".")[0]
    refused = run(CREATE_CACHE, stack, KEY=f"{header_and_claims}.AAAA", ENDPOINT="momento.example.com")
    assert refused.returncode == 1
    assert "not created" in refused.stderr
