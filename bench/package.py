"""The package that `make package` makes, built for this machine, and a Python that runs it."""

import os
import shutil
import subprocess
import sys
import sysconfig
from dataclasses import dataclass
from pathlib import Path

from bench.stack import ROOT
from local.stack.sam_profile import functions_runtime, host_architecture
from scripts.package_bytecode import compile_package, find_python
from scripts.package_size import package_sizes

# Lambda's runtime includes boto3 and its dependencies, all in plain Python.
_RUNTIME_MODULES = ("boto3", "botocore", "s3transfer", "urllib3", "dateutil", "six.py")


@dataclass(frozen=True, slots=True)
class Package:
    """A built package: how to run it, and its size in bytes."""

    python: str
    version: str
    """The version of that Python, and the compiler that built it."""
    path: tuple[Path, ...]
    """The folders of the functions and of what they import."""
    path_without_bytecode: tuple[Path, ...]
    """The same folders, with the package as `sam build` makes it."""
    unzipped: int
    zipped: int


class BuildError(Exception):
    """The functions could not be built. The message is the end of SAM's."""


class RuntimeVersionError(Exception):
    """The given Python cannot run the functions. The message names the version that can."""


def build_package(folder: Path, python: str | None) -> Package:
    """Build the package in `folder`, with bytecode for `python`. Raise `BuildError` or `RuntimeVersionError`.

    Without `python`, use an installed Python of the functions' version on Lambda, or else this process's.
    """
    version = functions_runtime().removeprefix("python")
    if python:
        _check_version(python, version)
    binaries = Path(sys.executable).parent
    built = subprocess.run(
        [
            str(binaries / "sam"),
            "build",
            *("--build-dir", str(folder / "build"), "--cache-dir", str(folder / "cache")),
            *("--parameter-overrides", f"Architecture={host_architecture()}"),
        ],
        cwd=ROOT,
        env={**os.environ, "PATH": f"{binaries}:{os.environ['PATH']}", "SAM_CLI_TELEMETRY": "0"},
        check=False,
        capture_output=True,
        text=True,
    )
    if built.returncode:
        raise BuildError(f"sam build failed:\n{built.stderr[-2000:]}")
    [package] = [path for path in (folder / "build").iterdir() if path.is_dir()]
    if python := python or find_python(version):
        runtime = _runtime_modules(folder / "runtime")
        path = (_compiled(python, package, folder / "compiled"), runtime)
        path_without_bytecode = (package, runtime)
        compile_package(python, runtime)
    else:  # The package's dependencies are built for another Python version: use this environment's.
        python = sys.executable
        installed = Path(sysconfig.get_path("purelib"))
        path = (_compiled(python, ROOT / "src", folder / "compiled"), installed)
        path_without_bytecode = (ROOT / "src", installed)
    deployed = path[0] if path_without_bytecode[0] == package else package
    unzipped, zipped = (sum(column) for column in zip(*package_sizes(deployed).values(), strict=True))
    return Package(python, _version(python), path, path_without_bytecode, unzipped, zipped)


def _compiled(python: str, sources: Path, folder: Path) -> Path:
    """Copy the sources, compile them, and return the copy's folder."""
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(sources, folder, ignore=shutil.ignore_patterns("__pycache__"))
    compile_package(python, folder)
    return folder


def _runtime_modules(folder: Path) -> Path:
    """Copy the installed packages that Lambda's runtime includes, and return the copy's folder."""
    installed = Path(sysconfig.get_path("purelib"))
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    for name in _RUNTIME_MODULES:
        source = installed / name
        if source.is_dir():
            shutil.copytree(source, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(source, folder / name)
    return folder


def _check_version(python: str, wanted: str) -> None:
    try:
        version = _version(python)
    except (OSError, subprocess.CalledProcessError):
        raise RuntimeVersionError(f"{python} is not a Python that runs on this machine.") from None
    if not version.startswith(f"{wanted}."):
        raise RuntimeVersionError(f"The functions need Python {wanted}, but {python} is {version}.")


def _version(python: str) -> str:
    script = "import platform; print(f'{platform.python_version()} ({platform.python_compiler()})')"
    answer = subprocess.run([python, "-c", script], capture_output=True, text=True, check=True)
    return answer.stdout.strip()
