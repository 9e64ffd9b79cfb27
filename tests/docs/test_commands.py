"""Each command block of README and docs/local.md runs as written, in a copy of the project."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager

import pytest

from local.serving.ports import HOST, listen, port_of
from tests.support.project import ROOT

from .command_blocks import Block, Reader, command_blocks, copy_project

DOCUMENTS = ["README.md", "docs/local.md"]
NOT_RUN = {
    "source .venv/bin/activate": "containers cannot reach this test's network; make sam-local does the same",
    'export PATH="$PWD/.venv/bin:$PATH"': "it needs an AWS account; tests/deploy plays the guided deployment",
    "MOMENTO_API_KEY=eyJ...": "it needs an account at Momento; tests/e2e/test_run.py uses a local one",
    "docker image rm": "it removes images that the developer may need",
}
"""Blocks that begin like this, and why they are not run."""

USUAL_PORTS = (3000, 3001, 3002, 4566, 5173, 8080, 8081, 9090)
BLOCKS = [block for document in DOCUMENTS for block in command_blocks(document)]
RUN = [block for block in BLOCKS if not block.commands.startswith(tuple(NOT_RUN))]


@pytest.fixture(scope="module")
def reader_of(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[str], Reader]]:
    """Return who reads a document. Only one document is read at a time, because all need the same ports."""
    readers: dict[str, Reader] = {}
    with ExitStack() as current:

        def reader(document: str) -> Reader:
            if document not in readers:
                current.close()
                network = current.enter_context(usual_ports_free())
                folder = tmp_path_factory.mktemp("docs") / "project"
                copy_project(folder)
                blocks = [block for block in RUN if block.document == document]
                readers[document] = current.enter_context(Reader(blocks, folder, network))
            return readers[document]

        yield reader


@contextmanager
def usual_ports_free() -> Iterator[list[str]]:
    """Yield a command that runs another one where the usual ports are free: in a network of its own.

    If this system permits none, use this machine's network; skip the tests if a port is taken there.
    """
    keep = ["sh", "-c", "ip link set lo up && echo up && exec sleep infinity"]
    if not shutil.which("unshare") or not shutil.which("ip"):
        yield from this_network()
        return
    command = ["unshare", "--user", "--map-root-user", "--net", *keep]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as holder:
        assert holder.stdout is not None
        try:
            if holder.stdout.readline() == "up\n":
                yield ["nsenter", "--preserve-credentials", "--user", "--net", "--target", str(holder.pid)]
                return
        finally:
            holder.kill()
    yield from this_network()


def this_network() -> Iterator[list[str]]:
    for port in USUAL_PORTS:
        with listen(port) as listening:
            if port_of(listening) != port:
                pytest.skip(f"the commands need port {port} of {HOST}, which is taken")
    yield []


@pytest.mark.timeout(300)
@pytest.mark.parametrize("block", RUN, ids=str)
def test_a_command_block_does_what_the_document_shows(
    reader_of: Callable[[str], Reader], block: Block
) -> None:
    if re.search(r"^aws ", block.commands, re.MULTILINE) and not shutil.which("aws"):
        pytest.skip("the AWS CLI is not installed")
    result = reader_of(block.document).result(block)
    assert result.status == 0, result.shown
    assert block.missing_lines(result.shown) == [], result.shown


@pytest.mark.parametrize("beginning", NOT_RUN)
def test_a_block_that_is_not_run_exists(beginning: str) -> None:
    assert any(block.commands.startswith(beginning) for block in BLOCKS)


def make_targets() -> set[str]:
    """Return the targets in the documents: in `code`, and in command blocks."""
    documents = [ROOT / "README.md", *(ROOT / "docs").rglob("*.md")]
    texts = "\n".join(document.read_text(encoding="utf-8") for document in documents)
    blocks = [block for document in documents for block in command_blocks(str(document.relative_to(ROOT)))]
    commands = "\n".join(block.commands for block in blocks)
    target = "([a-z]+(?:-[a-z]+)*)"
    return {*re.findall(f"`make {target}", texts), *re.findall(f"^make {target}", commands, re.MULTILINE)}


def test_every_make_target_in_the_documents_exists() -> None:
    targets = make_targets()
    assert {"run", "test", "chaos", "sam-local", "bench"} <= targets
    # Without running them: most take minutes, and other tests or other steps of CI run them.
    make = subprocess.run(["make", "-n", *targets], cwd=ROOT, capture_output=True, text=True, check=False)
    assert make.returncode == 0, make.stderr
