"""The image that SAM's local commands run functions in: AWS's own, or a stand-in where that cannot be pulled.

The stand-in is Debian with the runtime's Python, AWS's runtime interface client and boto3, under the name by
which SAM asks for AWS's image.
"""

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import docker
from docker.errors import APIError, BuildError, DockerException, ImageNotFound
from docker.models.images import Image

_ROOT = Path(__file__).parents[2]

# The Debian release whose Python is the runtime's.
_DEBIAN_RELEASES = {"python3.13": "trixie"}
_LABEL = "stand-in-for"
_DOCKERFILE = """\
FROM scratch
ADD debian.tar /
COPY runtime /var/runtime
WORKDIR /var/task
ENV LAMBDA_TASK_ROOT=/var/task LAMBDA_RUNTIME_DIR=/var/runtime TZ=:UTC LANG=C.UTF-8
LABEL {label}="{name}"
ENTRYPOINT ["/var/runtime/bootstrap"]
"""
# As on Lambda, the function's own packages come before those of the runtime.
_BOOTSTRAP = """\
#!/bin/sh
export PYTHONPATH="$LAMBDA_TASK_ROOT:$LAMBDA_RUNTIME_DIR"
exec python3 -m awslambdaric "$_HANDLER"
"""

_DEBOOTSTRAP = ["debootstrap", "--variant=minbase", "--include=python3,ca-certificates"]
_TAR = [
    "tar",
    "--create",
    "--exclude=./dev/*",
    "--exclude=./var/cache/apt/*",
    "--exclude=./var/lib/apt/lists/*",
]


class ImageError(Exception):
    """There is nothing to run functions in. The message says why, and what to do."""


def docker_engine() -> docker.DockerClient:
    """Return a client of the engine that SAM finds too; raises ImageError where none answers."""
    try:
        client = docker.from_env()
        client.ping()
    except DockerException as error:
        raise ImageError(
            f"`sam local` runs functions in containers, and no Docker engine answers here: {error}\n"
            "Install Docker and start it (as root on Debian or Ubuntu, `make docker` does that), or have "
            "DOCKER_HOST say where it is."
        ) from error
    return client


class RuntimeImage:
    """The image for a runtime (as the template names it) on an architecture (likewise)."""

    def __init__(self, engine: docker.DockerClient, runtime: str, architecture: str) -> None:
        """Have it in `engine`."""
        self._engine = engine
        self._runtime = runtime
        self._architecture = architecture
        self.name = f"public.ecr.aws/lambda/{runtime.replace('python', 'python:')}-{architecture}"

    def exists(self) -> bool:
        """Whether the engine has it, or a stand-in for it."""
        return self._image is not None

    def is_stand_in(self) -> bool:
        """Whether what the engine has is a stand-in."""
        return self._image is not None and _LABEL in self._image.labels

    def pull(self) -> None:
        """Fetch it; raises ImageError where that cannot be done."""
        self._remove_derived()
        try:
            self._engine.images.pull(self.name)
        except (APIError, OSError) as error:
            reason = getattr(error, "explanation", None) or error
            raise ImageError(f"{self.name} cannot be pulled: {reason}") from error

    def build_stand_in(self, tell: Callable[[str], None]) -> None:
        """Build a stand-in; `tell` is told how it goes on, line by line. Raises ImageError."""
        release = _DEBIAN_RELEASES.get(self._runtime)
        if os.geteuid() != 0 or not shutil.which("debootstrap") or not release:
            raise ImageError(
                f"A stand-in for AWS's image of {', '.join(_DEBIAN_RELEASES)} can be built by root, with "
                "debootstrap: `make docker` installs that on Debian and Ubuntu."
            )
        with tempfile.TemporaryDirectory(prefix="stand-in-") as folder:
            context, debian = Path(folder, "context"), Path(folder, "debian")
            runtime = context / "runtime"
            runtime.mkdir(parents=True)
            (context / "Dockerfile").write_text(_DOCKERFILE.format(label=_LABEL, name=self.name))
            (runtime / "bootstrap").write_text(_BOOTSTRAP)
            (runtime / "bootstrap").chmod(0o755)
            _run([*self._install, "--target", runtime], tell)
            _run([*_DEBOOTSTRAP, release, debian], tell)
            _run([*_TAR, "--file", context / "debian.tar", "--directory", debian, "."], tell)
            tell("Making an image of it")
            try:
                self._engine.images.build(path=str(context), tag=self.name, rm=True)
            except (APIError, BuildError) as error:
                raise ImageError(f"The stand-in for {self.name} cannot be built: {error}") from error

    def _remove_derived(self) -> None:
        """Remove what SAM has made of an earlier image of this name, which it would go on using."""
        repository, _, tag = self.name.rpartition(":")
        version, _, architecture = tag.partition("-")
        with suppress(ImageNotFound):
            self._engine.images.remove(f"{repository}:{version}-rapid-{architecture}")

    @property
    def _image(self) -> Image | None:
        try:
            return self._engine.images.get(self.name)
        except ImageNotFound:
            return None

    @property
    def _install(self) -> list[str | Path]:
        """The command that installs what AWS's image brings for Python, in the locked versions."""
        machine = {"arm64": "aarch64"}.get(self._architecture, self._architecture)
        return [
            *(sys.executable, "-m", "uv", "pip", "install", "awslambdaric", "boto3"),
            *("--constraint", _ROOT / "requirements-dev.txt"),
            *("--python-version", self._runtime.removeprefix("python")),
            *("--python-platform", f"{machine}-manylinux_2_28"),
        ]


def _run(command: list[str | Path], tell: Callable[[str], None]) -> None:
    """Run a command, telling each line that it prints; raises ImageError with the last ones if it fails."""
    lines = []
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as process:
        for line in process.stdout or ():
            lines.append(line)
            tell(line.strip())
    if process.returncode:
        raise ImageError(f"{command[0]} failed, and with it the stand-in image:\n{''.join(lines[-20:])}")
