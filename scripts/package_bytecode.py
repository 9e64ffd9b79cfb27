"""Put bytecode into the package that `sam build` has made for AWS: `python -m scripts.package_bytecode`.

On Lambda, the package is read-only. Without bytecode, every new process compiles what it imports.
"""

import os
import subprocess
import sys
from pathlib import Path

from rich.console import Console

from scripts.built_packages import built_packages

_FOLDER_ON_LAMBDA = "/var/task"


def find_python(version: str) -> str | None:
    """Return the path of a Python of this version, such as `3.13`, or None if none is installed."""
    if version == f"{sys.version_info.major}.{sys.version_info.minor}":
        return sys.executable
    found = subprocess.run(
        [str(Path(sys.executable).with_name("uv")), "python", "find", "--no-project", version],
        # Only pyenv's chosen Pythons can be run; another one would stop uv.
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
            # Python must not compare the times of files, because SAM sets them all to 1980.
            *("--invalidation-mode", "unchecked-hash"),
            # The bytecode is the same, whatever the folder.
            *("-s", str(package), "-p", _FOLDER_ON_LAMBDA),
            str(package),
        ],
        check=True,
    )


def main() -> None:
    """Compile each package."""
    console = Console()
    for package, version in built_packages():
        python = find_python(version)
        if python is None:
            console.print(
                f"The package has no bytecode, so functions take twice as long to start. Bytecode needs "
                f"Python {version} on this machine. To get it: .venv/bin/uv python install {version}",
                style="yellow",
                markup=False,
            )
        else:
            compile_package(python, package)
            console.print(f"The package has the bytecode of Python {version}.")


if __name__ == "__main__":
    main()
