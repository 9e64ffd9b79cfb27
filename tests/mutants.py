"""Put small faults into a copy of the code, one at a time, and list those that no test notices.

`make mutants ONLY=src/common` does this for one folder, and `make mutants` for all, which takes hours.
"""

from __future__ import annotations

import argparse
import contextlib
import difflib
import importlib
import json
import multiprocessing
import os
import re
import shutil
import signal
import subprocess
import sys
from collections import Counter
from dataclasses import dataclass
from enum import Enum
from pathlib import Path

import hypothesis
import pytest

ROOT = Path(__file__).parents[1]
WORK = ROOT / ".local/mutants"
CHECKS = ROOT / ".venv/checks/bin/python"
FUNCTIONS = "tests/functions"
RELAY = "tests/relay"
TESTS = {
    "src/common": [
        f"tests/unit/test_{name}.py"
        for name in ("message_id", "names", "claims", "pauses", "signature", "inputs")
    ],
    "src/aws_access": [
        "tests/unit/test_aws_session.py",
        f"{FUNCTIONS}/test_aws_access.py",
        f"{FUNCTIONS}/test_credentials.py",
        f"{FUNCTIONS}/test_webhook.py",
    ],
    "src/aws_access/clients.py": ["tests/functions/topics/test_event.py"],
    "src/aws_access/secrets.py": [f"{FUNCTIONS}/test_aws_access.py", f"{FUNCTIONS}/test_publisher.py"],
    "src/aws_access/lease_table.py": [f"{RELAY}/test_lease.py"],
    "src/momento_access": [
        f"{FUNCTIONS}/test_{name}.py"
        for name in ("credentials", "token_vendor", "publisher", "connections", "webhook")
    ],
    "src/momento_access/cache_client.py": [f"{FUNCTIONS}/test_webhook.py"],
    "src/momento_access/tokens.py": ["tests/functions/topics/test_chat.py"],
    "src/momento_access/permissions.py": [f"{FUNCTIONS}/test_token_vendor.py"],
    "src/momento_access/topic_publisher.py": [f"{FUNCTIONS}/test_publisher.py"],
    "src/momento_access/topic_stream.py": [f"{RELAY}/test_topic_reader.py", f"{RELAY}/test_delivery.py"],
    "src/publisher": [
        *(f"{FUNCTIONS}/test_{name}.py" for name in ("metrics", "publisher", "connections")),
        "tests/unit/test_inputs.py",
    ],
    "src/relay": [
        f"{RELAY}/test_{name}.py" for name in ("progress", "delivery", "lanes", "lease", "topic_reader")
    ],
    "src/relay/__main__.py": [f"{RELAY}/test_process.py"],
    "src/relay/backlog.py": [f"{RELAY}/test_lanes.py", f"{RELAY}/test_topic_reader.py"],
    "src/relay/lanes.py": [f"{RELAY}/test_lanes.py"],
    "src/relay/lease.py": [f"{RELAY}/test_lease.py"],
    "src/relay/relay_metrics.py": [f"{RELAY}/test_delivery.py", f"{RELAY}/test_process.py"],
    "src/relay/run.py": [f"{RELAY}/test_lease.py"],
    "src/relay/topic_reader.py": [f"{RELAY}/test_topic_reader.py"],
    "src/relay/version.py": [f"{RELAY}/test_lease.py"],
    "src/token_vendor": [
        *(f"{FUNCTIONS}/test_{name}.py" for name in ("metrics", "token_vendor", "connections")),
        "tests/unit/test_inputs.py",
    ],
    "src/topics": [
        *(f"tests/functions/topics/test_{name}.py" for name in ("event", "chat", "poll")),
        f"{FUNCTIONS}/test_token_vendor.py",
        f"{FUNCTIONS}/test_webhook.py",
        "tests/unit/test_inputs.py",
    ],
    "src/topics/chat.py": ["tests/functions/topics/test_chat.py"],
    "src/topics/poll.py": ["tests/functions/topics/test_poll.py"],
    "src/webhook": [
        *(f"{FUNCTIONS}/test_{name}.py" for name in ("metrics", "webhook", "connections")),
        "tests/functions/topics/test_event.py",
    ],
}
"""The tests that should notice a fault in a folder. Those of a module come first."""

OF_ALL_MODULES = "tests/unit/test_boundaries.py"

LIBRARIES = (
    *("boto3", "grpc", "hypothesis", "jwt", "momento", "momento_wire_types", "moto.server", "pytest_asyncio"),
    *("aws_lambda_powertools.metrics", "aws_lambda_powertools.utilities.idempotency", "cachetools"),
    *(f"moto.{service}.responses" for service in ("dynamodb", "events", "secretsmanager", "sqs")),
)
"""What takes long to import. It is loaded once, and each run of the tests is forked from there."""

PLUGINS = ("pytest_asyncio.plugin", "pytest_timeout")
"""The plugins that these tests use: to load all that are installed takes longer than most of the tests."""

SECONDS_FOR_A_TEST = 90
SECONDS_FOR_TESTS = 1800


SOUND: set[str] = set()
"""Tests that were seen to pass without a fault."""


@dataclass(frozen=True)
class Fault:
    """A fault that can be put into the code."""

    module: str
    line: int
    text: str
    """The whole text of the module with the fault."""


class Outcome(Enum):
    """What the tests made of the code."""

    PASSED = "passed"
    FAILED = "failed"
    HUNG = "hung"
    """They did not end, or a test had to be ended."""


def main() -> None:
    """Try the folders named on the command line, or all."""
    folders = [path for path in TESTS if not path.endswith(".py")]
    parser = argparse.ArgumentParser(prog="python -m tests.mutants", description=__doc__)
    parser.add_argument("folder", nargs="*", choices=[[], *folders], help="a folder of src")
    parser.add_argument("--sample", type=int, help="how many faults of a folder to try, chosen at random")
    parser.add_argument("--skip", type=int, default=0, help="how many of these were tried before")
    parser.add_argument("--seed", type=int, default=1, help="another seed chooses another sample (1)")
    arguments = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # So that it ends what it has started.
    for library in LIBRARIES:
        importlib.import_module(library)
    # The machine may be busy.
    hypothesis.settings.register_profile(
        "mutants", deadline=None, database=None, suppress_health_check=list(hypothesis.HealthCheck)
    )
    hypothesis.settings.load_profile("mutants")
    for folder in arguments.folder or folders:
        mutate(folder, arguments)


def mutate(folder: str, arguments: argparse.Namespace) -> None:
    """Try faults in a folder, and print how many were noticed and which were not."""
    copy = copy_project(folder)
    if run_tests(copy, [OF_ALL_MODULES]) is not Outcome.PASSED:
        sys.exit(f"The tests cannot be run, even without a fault:\n{output(copy)}")
    total, faults = choose(copy, folder, arguments)
    print(f"{folder}: {len(faults)} of {total} faults are tried", flush=True)
    outcomes: Counter[Outcome] = Counter()
    for number, fault in enumerate(faults, start=1):
        outcome, reason = try_fault(copy, fault)
        outcomes[outcome] += 1
        print(f"{number}. {fault.module}:{fault.line}: {reason}", flush=True)
        if outcome is Outcome.PASSED:
            print(difference(copy, fault), flush=True)
    noticed = len(faults) - outcomes[Outcome.PASSED]
    print(
        f"{folder}: {noticed} of {len(faults)} noticed ({noticed / max(len(faults), 1):.0%}),"
        f" {outcomes[Outcome.HUNG]} of them because the tests did not end",
        flush=True,
    )


def copy_project(folder: str) -> Path:
    """Copy the project's files, without those that git ignores, and return where they are."""
    copy = WORK / folder.replace("/", "-")
    shutil.rmtree(copy, ignore_errors=True)
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard"]
    listed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    for name in listed.stdout.splitlines():
        if (ROOT / name).is_file():
            (copy / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, copy / name)
    return copy


def choose(copy: Path, folder: str, arguments: argparse.Namespace) -> tuple[int, list[Fault]]:
    """Return how many faults there are, and those to try."""
    modules = sorted(str(path.relative_to(copy)) for path in (copy / folder).glob("*.py"))
    options = [f"--seed={arguments.seed}", f"--skip={arguments.skip}"]
    if arguments.sample:
        options.append(f"--sample={arguments.sample}")
    command = [str(CHECKS), "tests/mutant_choice.py", *modules, *options]
    chosen = subprocess.run(command, cwd=copy, check=True, stdout=subprocess.PIPE, text=True).stdout
    total, *faults = map(json.loads, chosen.splitlines())
    return total, [Fault(*fault) for fault in faults]


def tests_of(module: str) -> list[str]:
    """Return the tests that should notice a fault in a module, the most likely first."""
    return list(dict.fromkeys([OF_ALL_MODULES, *TESTS.get(module, ()), *TESTS[str(Path(module).parent)]]))


def try_fault(copy: Path, fault: Fault) -> tuple[Outcome, str]:
    """Return what the tests make of the fault, and which one notices it.

    A test notices it if it fails twice with the fault, and passes without it. After one that failed by
    chance, the tests go on.
    """
    module, tests = copy / fault.module, tests_of(fault.module)
    original = module.read_text()
    options = ["--cache-clear"]
    failed_before = None
    while True:
        module.write_text(fault.text)
        try:
            outcome = run_tests(copy, ["--stepwise", *options, *tests])
        finally:
            module.write_text(original)
        if outcome is Outcome.PASSED:
            return outcome, "not noticed"
        failed = re.search(r"^(?:FAILED|ERROR) (tests/.+?)(?: - .*)?$", output(copy), re.MULTILINE)
        name = failed[1] if failed else "a run without a failed test"
        if name != failed_before:
            failed_before = name
            options = [option for option in options if option != "--cache-clear"]
        elif not failed or is_sound(copy, name):
            return outcome, f"{name} {outcome.value}"
        else:
            options.append(f"--deselect={name}")


def is_sound(copy: Path, test: str) -> bool:
    """Return whether a test passes without a fault."""
    if test not in SOUND and run_tests(copy, ["-p", "no:stepwise", test]) is Outcome.PASSED:
        SOUND.add(test)
    return test in SOUND


def run_tests(copy: Path, arguments: list[str]) -> Outcome:
    """Run tests in the copy until one fails, in a process that is forked from this one."""
    process = multiprocessing.get_context("fork").Process(target=run_pytest, args=(copy, arguments))
    process.start()
    try:
        process.join(SECONDS_FOR_TESTS)
        has_ended = process.exitcode is not None
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid or 0, signal.SIGKILL)  # Also what the tests have started and left.
        process.join()
    if not has_ended or "from pytest-timeout" in output(copy):
        return Outcome.HUNG
    return Outcome.PASSED if process.exitcode == pytest.ExitCode.OK else Outcome.FAILED


def run_pytest(copy: Path, arguments: list[str]) -> None:
    """Run tests in the copy, in this process, and end it."""
    os.setsid()
    os.chdir(copy)
    os.environ["PYTEST_DISABLE_PLUGIN_AUTOLOAD"] = "1"
    written = os.open("output.txt", os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    os.dup2(written, 1)
    os.dup2(written, 2)
    sys.path.remove(str(ROOT))
    del sys.modules["tests"]  # The copy has its own.
    plugins = [option for plugin in PLUGINS for option in ("-p", plugin)]
    options = [
        "--exitfirst",
        "--quiet",
        "--tb=short",
        "--show-capture=no",
        f"--timeout={SECONDS_FOR_A_TEST}",
        *plugins,
    ]
    code = pytest.main([*options, *arguments])
    sys.stdout.flush()
    os._exit(code)  # Without waiting for threads that a fault has left behind.


def output(copy: Path) -> str:
    """Return what the tests have written."""
    return (copy / "output.txt").read_text(errors="replace")


def difference(copy: Path, fault: Fault) -> str:
    """Return a fault as a patch."""
    before, after = (copy / fault.module).read_text().splitlines(), fault.text.splitlines()
    return "\n".join(difflib.unified_diff(before, after, fault.module, fault.module, lineterm="", n=2))


if __name__ == "__main__":
    main()
