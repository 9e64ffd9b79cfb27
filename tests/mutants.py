"""Put small faults into a copy of the code, one at a time, and list those that no test notices.

`make mutants ONLY=src/common` does this for one folder, and `make mutants` for all, which takes hours.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import random
import shutil
import sqlite3
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
WORK = ROOT / ".local/mutants"
CHECKS = ROOT / ".venv/checks/bin"
SESSION = "session.sqlite"
# The plugins that these tests use: to load all that are installed takes longer than most of the tests.
PYTEST = "env PYTEST_DISABLE_PLUGIN_AUTOLOAD=1 {} -m pytest -x -q -p pytest_asyncio.plugin -p pytest_timeout"
FUNCTIONS = "tests/functions"
TESTS = {
    "src/common": [
        f"tests/unit/test_{name}.py"
        for name in ("message_id", "names", "claims", "pauses", "signature", "inputs")
    ],
    "src/aws_access": [
        "tests/unit/test_aws_session.py",
        f"{FUNCTIONS}/test_aws_access.py",
        f"{FUNCTIONS}/test_webhook.py",
        f"{FUNCTIONS}/test_credentials.py",
    ],
    "src/momento_access": [
        f"{FUNCTIONS}/test_{name}.py"
        for name in ("credentials", "token_vendor", "publisher", "webhook", "connections")
    ],
    "src/publisher": [f"{FUNCTIONS}/test_publisher.py", "tests/unit/test_inputs.py"],
    "src/relay": ["tests/relay"],
    "src/token_vendor": [f"{FUNCTIONS}/test_token_vendor.py", "tests/unit/test_inputs.py"],
    "src/topics": [f"{FUNCTIONS}/test_webhook.py", "tests/unit/test_inputs.py"],
    "src/webhook": [f"{FUNCTIONS}/test_webhook.py", f"{FUNCTIONS}/test_metrics.py"],
}
"""The tests that should notice a fault in a folder, the quickest first."""

REPLACEMENTS = {
    *("Add_Sub", "Sub_Add", "Mul_Div", "Div_Mul", "Pow_Mul", "Mod_Add"),
    *("Eq_NotEq", "NotEq_Eq", "Is_IsNot", "IsNot_Is", "Lt_LtE", "LtE_Lt", "Gt_GtE", "GtE_Gt"),
}
"""Cosmic Ray replaces each operator by every other. These are likely mistakes, and hard to notice."""
SECONDS_FOR_TESTS = 600


def main() -> None:
    """Try the folders named on the command line, or all. Fail if the tests fail without a fault."""
    parser = argparse.ArgumentParser(prog="python -m tests.mutants", description=__doc__)
    parser.add_argument("folder", nargs="*", choices=[[], *TESTS], help="a folder of src")
    parser.add_argument("--sample", type=int, help="how many faults of a folder to try, chosen at random")
    arguments = parser.parse_args()
    for folder in arguments.folder or TESTS:
        mutate(folder, arguments.sample)


def mutate(folder: str, sample: int | None) -> None:
    """Try faults in a folder, and print how many were noticed and which were not."""
    copy = WORK / folder.replace("/", "-")
    shutil.rmtree(copy, ignore_errors=True)
    for name in project_files():
        (copy / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, copy / name)
    configure(copy, folder)
    cosmic_ray(copy, "init", "config.toml", SESSION)
    choose(copy, sample)
    cosmic_ray(copy, "baseline", "config.toml")
    cosmic_ray(copy, "exec", "config.toml", SESSION)
    report(folder, copy)


def cosmic_ray(copy: Path, *arguments: str) -> str:
    """Run a command of Cosmic Ray in the copy of the project, and return its output."""
    command = [CHECKS / "cosmic-ray", *arguments]
    return subprocess.run(command, cwd=copy, check=True, stdout=subprocess.PIPE, text=True).stdout


def choose(copy: Path, sample: int | None) -> None:
    """Leave out of the session what no test can notice or what teaches little, and all but a sample."""
    with contextlib.closing(sqlite3.connect(copy / SESSION)) as session, session:
        faults = session.execute(
            "SELECT job_id, module_path, operator_name, start_pos_row FROM mutation_specs ORDER BY job_id"
        ).fetchall()
        useful = [job for job, path, operator, line in faults if is_useful(copy / path, operator, line)]
        random.shuffle(useful)
        kept = set(useful[:sample])
        for table in ("mutation_specs", "work_items"):
            session.executemany(
                f"DELETE FROM {table} WHERE job_id = ?",  # noqa: S608
                [(job,) for job, *_ in faults if job not in kept],
            )
    print(f"{len(kept)} of {len(useful)} faults are tried")


def is_useful(path: Path, operator: str, line: int) -> bool:
    """Return False for most of an operator's replacements, and for imports that only a type checker makes."""
    name = operator.removeprefix("core/")
    if name.startswith(("ReplaceBinaryOperator_", "ReplaceComparisonOperator_")):
        return name.partition("_")[2] in REPLACEMENTS
    text = path.read_text().splitlines()[line - 1]
    return not name.startswith("Variable") and text != "if TYPE_CHECKING:"


def project_files() -> list[str]:
    """Return the project's files, without those that git ignores."""
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard"]
    listed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    return [name for name in listed.stdout.splitlines() if (ROOT / name).is_file()]


def configure(copy: Path, folder: str) -> None:
    """Write Cosmic Ray's configuration into the copy of the project."""
    tests = " ".join(TESTS[folder])
    settings = {
        "module-path": sorted(str(path.relative_to(copy)) for path in (copy / folder).glob("*.py")),
        "timeout": SECONDS_FOR_TESTS,
        "excluded-modules": [],
        "test-command": f"{PYTEST.format(sys.executable)} {tests}",
    }
    lines = [
        "[cosmic-ray]",
        *(f"{name} = {json.dumps(value)}" for name, value in settings.items()),
        "[cosmic-ray.distributor]",
        'name = "local"',
    ]
    (copy / "config.toml").write_text("\n".join(lines) + "\n")


def report(folder: str, copy: Path) -> None:
    """Print the faults that no test has noticed, and the share of the others."""
    dumped = cosmic_ray(copy, "dump", SESSION)
    tried: list[dict[str, Any]] = [result for _, result in map(json.loads, dumped.splitlines())]
    for result in tried:
        if result["test_outcome"] == "survived":
            print(result["diff"])
    outcomes = Counter(result["test_outcome"] for result in tried)
    caught = len(tried) - outcomes["survived"]
    print(f"{folder}: {caught} of {len(tried)} caught ({caught / max(len(tried), 1):.0%})")


if __name__ == "__main__":
    main()
