"""The package that `sam build` makes: the sources and their dependencies, for the right processor."""

from __future__ import annotations

import compileall
import platform
import re
import shutil
import subprocess
import sys
from importlib import metadata
from pathlib import Path

import pytest
from samcli.yamlhelper import yaml_parse

from scripts.package_bytecode import compile_package, find_python
from scripts.package_size import package_sizes
from tests.support.project import ROOT
from tests.support.sam_cli import SamCli

MACHINES = {"x86_64": 62, "arm64": 183}
"""The number of each processor in the header of an ELF file."""

UNCHECKED_HASH = b"\1\0\0\0"
"""The flags of bytecode that Python loads without looking at its source (PEP 552)."""

LEFTOVERS = {
    ".lock": "uv locks the folder into which it installs",
    "requirements.txt": "SAM reads the dependencies from this file beside the sources",
    "bin/jp.py": "the command of jmespath, which SAM's builder cannot leave out",
    "google/protobuf/testdata/__init__.py": "empty, part of protobuf's wheel",
}
"""Files that no function reads, and why the package contains them."""


@pytest.fixture(scope="module", params=MACHINES)
def architecture(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    return name


@pytest.fixture(scope="module")
def package(sam: SamCli, project: Path, architecture: str) -> Path:
    """Build from sources that were run before, and return the folder with the code of all functions."""
    compileall.compile_dir(project / "src", quiet=1)
    build = subprocess.run(
        [sam.path, "build", "--parameter-overrides", f"Architecture={architecture}"],
        cwd=project,
        env=sam.environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert build.returncode == 0, build.stderr
    template = yaml_parse((project / ".aws-sam/build/template.yaml").read_text())
    functions = [one for one in template["Resources"].values() if one["Type"] == "AWS::Serverless::Function"]
    [folder] = {str(one["Properties"]["CodeUri"]) for one in functions}
    return project / ".aws-sam/build" / folder


@pytest.fixture(scope="module")
def files(package: Path) -> set[str]:
    return {str(path.relative_to(package)) for path in package.rglob("*") if path.is_file()}


def normalized(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def installed(package: Path) -> list[metadata.Distribution]:
    return list(metadata.distributions(path=[str(package)]))


def test_the_package_contains_the_pinned_dependencies(package: Path) -> None:
    pins = re.findall(r"^([a-z0-9-]+)==(\S+)", (ROOT / "src/requirements.txt").read_text(), re.MULTILINE)
    assert {(normalized(one.name), one.version) for one in installed(package)} == set(pins)


def test_the_package_contains_only_sources_and_dependencies(package: Path, files: set[str]) -> None:
    """Installed files include each distribution's record and licence, in its `*.dist-info`."""
    of_distributions = {str(file) for one in installed(package) for file in one.files or []}
    sources = {
        str(path.relative_to(ROOT / "src"))
        for path in (ROOT / "src").rglob("*")
        if path.is_file() and path.suffix != ".pyc"
    }
    assert files - of_distributions - set(LEFTOVERS) == sources - set(LEFTOVERS)


def test_the_package_contains_no_tests_tools_or_bytecode(files: set[str]) -> None:
    needless = re.compile(r"(^|/)(tests?|testing|testdata|bin|scripts|docs|examples|__pycache__)/|\.pyc$")
    assert {file for file in files if needless.search(file)} <= set(LEFTOVERS)
    assert set(LEFTOVERS) <= files, "remove files that are gone from LEFTOVERS"


def test_compiled_modules_are_for_lambdas_python_and_processor(package: Path, architecture: str) -> None:
    modules = compiled_modules(package)
    assert modules
    for path in modules:
        assert re.search(r"\.(cpython-313-\w+-linux-gnu|abi3)\.so$", path.name), path
        header = path.read_bytes()[:20]
        assert header[:4] == b"\x7fELF"
        assert int.from_bytes(header[18:20], "little") == MACHINES[architecture], path


def test_compiled_modules_can_be_imported(package: Path, architecture: str) -> None:
    python = find_python("3.13")
    host = platform.machine().lower().replace("aarch64", "arm64").replace("amd64", "x86_64")
    if sys.platform != "linux" or host != architecture or not python:
        pytest.skip("needs Linux, Python 3.13 and this processor")
    names = [
        str(path.relative_to(package)).partition(".")[0].replace("/", ".")
        for path in compiled_modules(package)
    ]
    subprocess.run([python, "-SB", "-c", f"import {', '.join(names)}"], cwd=package, check=True)


@pytest.mark.parametrize("architecture", ["arm64"], indirect=True)  # Bytecode is the same for both.
def test_added_bytecode_is_used_whatever_the_times_of_the_files(
    package: Path, files: set[str], tmp_path: Path
) -> None:
    python = find_python("3.13")
    if not python:
        pytest.skip("needs Python 3.13")
    folder = tmp_path / "package"
    shutil.copytree(package, folder)
    compile_package(python, folder)
    sources = {path for path in folder.rglob("*.py") if str(path.relative_to(folder)) in files}
    bytecode = {path.with_name("__pycache__") / f"{path.stem}.cpython-313.pyc" for path in sources}
    assert {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()} == files | {
        str(path.relative_to(folder)) for path in bytecode
    }
    for path in bytecode:
        assert path.read_bytes()[4:8] == UNCHECKED_HASH, path
    (folder / "common/names.py").write_text("raise AssertionError('compiled again')")
    subprocess.run([python, "-SB", "-c", "import common.names"], cwd=folder, check=True)
    assert set(package_sizes(folder)) == {"src"} | {one.name for one in installed(folder)}


def test_a_python_that_is_not_installed_is_not_found() -> None:
    assert find_python("3.99") is None


def test_the_package_is_small_and_its_size_is_reported(package: Path, files: set[str]) -> None:
    sizes = package_sizes(package)
    assert set(sizes) == {"src"} | {one.name for one in installed(package)}
    assert sum(unzipped for unzipped, _ in sizes.values()) == sum(
        (package / file).stat().st_size for file in files
    )
    zipped = sum(zipped for _, zipped in sizes.values())
    assert zipped < 15e6, "a cold start loads all of this"


def compiled_modules(package: Path) -> list[Path]:
    return [path for path in package.rglob("*") if path.suffix in {".so", ".pyd", ".dylib"}]
