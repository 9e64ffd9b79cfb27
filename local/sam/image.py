"""The image in which SAM's local commands run functions: AWS's image, or a stand-in if it cannot be pulled.

The stand-in is Debian with the runtime's Python, AWS's runtime interface client and boto3. It has the name of
AWS's image, so SAM uses it.
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

# The Debian release with the runtime's Python version.
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
# As on Lambda, the function's packages have priority over those of the runtime.
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
    """There is no image to run functions in. The message says why, and what to do."""


def docker_engine() -> docker.DockerClient:
    """Return a client of the Docker engine that SAM uses too. Raise ImageError if none answers."""
    try:
        client = docker.from_env()
        client.ping()
    except DockerException as error:
        raise ImageError(
            f"`sam local` runs functions in containers, but no Docker engine answers: {error}\n"
            "Install Docker and start it (as root on Debian or Ubuntu, `make docker` does that), or set "
            "DOCKER_HOST to its address."
        ) from error
    return client


class RuntimeImage:
    """The image for a runtime and an architecture, both named as in the template."""

    def __init__(self, engine: docker.DockerClient, runtime: str, architecture: str) -> None:
        """Use the images of `engine`."""
        self._engine = engine
        self._runtime = runtime
        self._architecture = architecture
        self.name = f"public.ecr.aws/lambda/{runtime.replace('python', 'python:')}-{architecture}"

    def exists(self) -> bool:
        """Return whether the engine has the image or a stand-in."""
        return self._image is not None

    def is_stand_in(self) -> bool:
        """Return whether the engine has a stand-in."""
        return self._image is not None and _LABEL in self._image.labels

    def pull(self) -> None:
        """Pull the image. Raise ImageError if that fails."""
        self._remove_derived()
        try:
            self._engine.images.pull(self.name)
        except (APIError, OSError) as error:
            reason = getattr(error, "explanation", None) or error
            raise ImageError(f"{self.name} cannot be pulled: {reason}") from error

    def build_stand_in(self, on_line: Callable[[str], None]) -> None:
        """Build a stand-in, and call `on_line` with each line of progress. Raise ImageError."""
        release = _DEBIAN_RELEASES.get(self._runtime)
        if os.geteuid() != 0 or not shutil.which("debootstrap") or not release:
            raise ImageError(
                f"Only root can build a stand-in for AWS's image of {', '.join(_DEBIAN_RELEASES)}, with "
                "debootstrap, which `make docker` installs on Debian and Ubuntu."
            )
        with tempfile.TemporaryDirectory(prefix="stand-in-") as folder:
            context, debian = Path(folder, "context"), Path(folder, "debian")
            runtime = context / "runtime"
            runtime.mkdir(parents=True)
            (context / "Dockerfile").write_text(_DOCKERFILE.format(label=_LABEL, name=self.name))
            (runtime / "bootstrap").write_text(_BOOTSTRAP)
            (runtime / "bootstrap").chmod(0o755)
            _run([*self._install, "--target", runtime], on_line)
            _run([*_DEBOOTSTRAP, release, debian], on_line)
            _run([*_TAR, "--file", context / "debian.tar", "--directory", debian, "."], on_line)
            on_line("Building the image")
            try:
                self._engine.images.build(path=str(context), tag=self.name, rm=True)
            except (APIError, BuildError) as error:
                raise ImageError(f"The stand-in for {self.name} cannot be built: {error}") from error

    def _remove_derived(self) -> None:
        """Remove the image that SAM derived from an earlier image with this name. SAM would reuse it."""
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
        """Return the command that installs the Python packages of AWS's image, in the locked versions."""
        machine = {"arm64": "aarch64"}.get(self._architecture, self._architecture)
        return [
            *(sys.executable, "-m", "uv", "pip", "install", "awslambdaric", "boto3"),
            *("--constraint", _ROOT / "requirements-dev.txt"),
            *("--python-version", self._runtime.removeprefix("python")),
            *("--python-platform", f"{machine}-manylinux_2_28"),
        ]


def _run(command: list[str | Path], on_line: Callable[[str], None]) -> None:
    """Run a command, and call `on_line` with each line of output. Raise ImageError with the last lines."""
    lines = []
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as process:
        for line in process.stdout or ():
            lines.append(line)
            on_line(line.strip())
    if process.returncode:
        raise ImageError(
            f"The stand-in image cannot be built, because {command[0]} failed:\n{''.join(lines[-20:])}"
        )
