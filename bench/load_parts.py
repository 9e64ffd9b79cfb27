"""How long it takes to load a function, by the package that each loaded module belongs to."""

import re
import statistics
import subprocess
from collections.abc import Mapping, Sequence

from bench.subjects import MeasurementError, Subject
from local.serving.child_process import clean_environment

_PACKAGES: Mapping[str, str] = {
    **dict.fromkeys(("boto3", "botocore", "s3transfer", "urllib3", "dateutil", "six", "jmespath"), "boto3"),
    "grpc": "gRPC",
    **dict.fromkeys(("momento", "jwt"), "Momento's SDK"),
    **dict.fromkeys(("google", "momento_wire_types"), "protobuf and Momento's stubs"),
    **dict.fromkeys(("aws_lambda_powertools", "typing_extensions"), "Powertools"),
}
_STANDARD_LIBRARY = "standard library"
_THE_REST = "this project, creating its clients, and the rest"
_BOTO3_ALONE = "boto3 with all its imports, in a separate process"
_RUNS = 9

# As Python prints it: microseconds of the module alone, microseconds with its imports, the module's name.
_LINE = re.compile(r"^import time:\s+(\d+) \|\s+(\d+) \|\s+(\S+)$", re.MULTILINE)
# Python imports this module last before it runs the code.
_LAST_STARTUP_MODULE = "site"


def load_parts(subjects: Sequence[Subject]) -> dict[str, dict[str, float]]:
    """Return the milliseconds of each part, by the name of the subject. Raise `MeasurementError`.

    Measuring adds some time of its own. The last part, boto3 with all its imports, is not part of the sum.
    """
    runs = [{subject.name: _parts(subject) for subject in subjects} for _ in range(_RUNS)]
    return {
        name: {part: statistics.median(run[name][part] for run in runs) for part in parts}
        for name, parts in runs[0].items()
    }


def _parts(subject: Subject) -> dict[str, float]:
    module = subject.command[-1].rpartition(".")[0]
    standard_library = _run(subject, "import sys; print(*sys.stdlib_module_names)").stdout.split()
    part_of = {**dict.fromkeys(standard_library, _STANDARD_LIBRARY), **_PACKAGES}
    parts = dict.fromkeys([*_PACKAGES.values(), _STANDARD_LIBRARY, _THE_REST], 0.0)
    for name, alone, _ in _imports(subject, module):
        parts[part_of.get(name.partition(".")[0], _THE_REST)] += alone
    [parts[_BOTO3_ALONE]] = [total for name, _, total in _imports(subject, "boto3") if name == "boto3"]
    return parts


def _imports(subject: Subject, module: str) -> list[tuple[str, float, float]]:
    """Return what importing `module` imports: name, milliseconds alone, milliseconds with its imports."""
    lines = _LINE.findall(_run(subject, f"import {module}").stderr)
    imports = [(name, int(alone) / 1000, int(total) / 1000) for alone, total, name in lines]
    return imports[[name for name, *_ in imports].index(_LAST_STARTUP_MODULE) + 1 :]


def _run(subject: Subject, code: str) -> subprocess.CompletedProcess[str]:
    process = subprocess.run(
        [subject.command[0], "-X", "importtime", "-c", code],
        env={**clean_environment(), **subject.environment},
        capture_output=True,
        text=True,
        check=False,
    )
    if process.returncode:
        raise MeasurementError(f"{subject.name} did not load: {process.stderr[-2000:]}")
    return process
