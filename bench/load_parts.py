"""What loading a function consists of, by who wrote what is loaded."""

import re
import statistics
import subprocess
import sys
from collections.abc import Mapping, Sequence

from bench.subjects import MeasuringError, Subject
from local.child_process import clean_environment

_PARTS: Mapping[str, Sequence[str]] = {
    "boto3 and what it needs": ("boto3", "botocore", "s3transfer", "urllib3", "dateutil", "six", "jmespath"),
    "gRPC": ("grpc",),
    "protobuf, Momento's stubs": ("google", "momento_wire_types"),
    "Powertools": ("aws_lambda_powertools", "typing_extensions"),
    "standard library": tuple(sys.stdlib_module_names),
}
_THE_REST = "this project, and making the clients"
_RUNS = 5

# As `python -X importtime` prints it: of the module itself, with all it imports, and its name.
_LINE = re.compile(r"^import time:\s+(\d+) \|\s+\d+ \|\s+(\S+)$", re.MULTILINE)
_LAST_OF_PYTHON_ITSELF = "site"


def load_parts(subjects: Sequence[Subject]) -> dict[str, dict[str, float]]:
    """Milliseconds by part, by the name of the subject; being timed takes some time itself.

    Raises `MeasuringError`.
    """
    return {subject.name: _medians([_parts(subject) for _ in range(_RUNS)]) for subject in subjects}


def _medians(runs: Sequence[Mapping[str, float]]) -> dict[str, float]:
    return {part: statistics.median(run[part] for run in runs) for part in runs[0]}


def _parts(subject: Subject) -> dict[str, float]:
    python, handler = subject.command[0], subject.command[-1]
    process = subprocess.run(
        [python, "-X", "importtime", "-c", f"import {handler.rpartition('.')[0]}"],
        env={**clean_environment(), **subject.environment},
        capture_output=True,
        text=True,
        check=False,
    )
    if process.returncode:
        raise MeasuringError(f"{subject.name} did not load: {process.stderr[-2000:]}")
    modules = [(name, int(micros)) for micros, name in _LINE.findall(process.stderr)]
    of_python = [name for name, _ in modules].index(_LAST_OF_PYTHON_ITSELF) + 1
    parts = dict.fromkeys([*_PARTS, _THE_REST], 0.0)
    for name, micros in modules[of_python:]:
        parts[_part(name.partition(".")[0])] += micros / 1000
    return parts


def _part(package: str) -> str:
    return next((part for part, packages in _PARTS.items() if package in packages), _THE_REST)
