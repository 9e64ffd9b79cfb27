"""Puts bytecode into the package that `sam build` has made for AWS: `python -m scripts.package_bytecode`.

On Lambda, the package cannot be written to: without bytecode, every new process compiles what it imports.
"""

import os
import subprocess
import sys
from pathlib import Path

from rich.console import Console

from local.cloudformation.template import TemplateError
from scripts.built_packages import built_packages

_FOLDER_ON_LAMBDA = "/var/task"


def find_python(version: str) -> str | None:
    """Return the path of a Python of that version, such as `3.13`, where one is installed."""
    if version == f"{sys.version_info.major}.{sys.version_info.minor}":
        return sys.executable
    found = subprocess.run(
        [str(Path(sys.executable).with_name("uv")), "python", "find", "--no-project", version],
        # pyenv's placeholders of Pythons that are not the chosen one fail, which would stop uv.
        env={**os.environ, "PYENV_VERSION": version},
        capture_output=True,
        text=True,
        check=False,
    )
    return found.stdout.strip() if found.returncode == 0 else None


def compile_package(python: str, package: Path) -> None:
    """Put the bytecode of `python` beside all sources in the folder."""
    subprocess.run(
        [
            python,
            *("-m", "compileall", "-q", "-j0"),
            # What it was compiled from is not asked for: SAM sets the times of all files to 1980.
            *("--invalidation-mode", "unchecked-hash"),
            # The same bytecode wherever it is built.
            *("-s", str(package), "-p", _FOLDER_ON_LAMBDA),
            str(package),
        ],
        check=True,
    )


def main() -> int:
    """Compile each function's package; return the exit code."""
    console = Console()
    try:
        packages = built_packages()
    except TemplateError as error:
        console.print(str(error), style="red", markup=False)
        return 1
    for package, version in packages:
        python = find_python(version)
        if python is None:
            console.print(
                f"There is no bytecode in the package, so functions start in twice the time: that takes "
                f"Python {version} on this machine. To get it: .venv/bin/uv python install {version}",
                style="yellow",
                markup=False,
            )
        else:
            compile_package(python, package)
            console.print(f"The package has the bytecode of Python {version}.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
