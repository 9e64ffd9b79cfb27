"""Which folder under src may import what: so that each thing has one place."""

from __future__ import annotations

import ast
import dataclasses
import importlib
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.project import ROOT, SOURCE

FUNCTIONS = {"token_vendor", "publisher", "webhook", "relay"}
ONLY_IN = {
    "grpc": {"momento_access"},
    "momento_wire_types": {"momento_access"},
    "botocore": {"aws_access"},
    "boto3": {"aws_access"},
    "aws_lambda_powertools.utilities.parameters": {"aws_access"},
    "aws_lambda_powertools.utilities.idempotency": {"aws_access"},
    "momento": {"momento_access", "topics"},
}
"""The folders that may import a package when they run; types alone may be named anywhere."""

MAY_IMPORT = {
    "common": {"common"},
    "aws_access": {"aws_access", "common"},
    "momento_access": {"momento_access", "aws_access", "common"},
    "topics": {"topics", "momento_access", "common"},
    **{name: {name, "topics", "momento_access", "aws_access", "common"} for name in FUNCTIONS},
}


def imports(path: Path) -> Iterator[str]:
    """Return the modules that a file imports when it runs."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    for node in ast.walk(tree):
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
            node.body = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (name.name for name in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module


def folder_of(path: Path) -> str:
    return path.relative_to(SOURCE).parts[0]


@pytest.mark.parametrize("path", sorted(SOURCE.rglob("*.py")), ids=lambda path: str(path.relative_to(SOURCE)))
def test_imports_only_what_its_folder_may(path: Path) -> None:
    folder = folder_of(path)
    for module in imports(path):
        for package, folders in ONLY_IN.items():
            if module == package or module.startswith(f"{package}."):
                assert folder in folders, f"{module} belongs into {folders}"
        own = module.partition(".")[0]
        if own in MAY_IMPORT:
            assert own in MAY_IMPORT[folder], f"{folder} must not import {module}"


def test_nothing_names_the_local_stack() -> None:
    assert not [
        path for path in SOURCE.rglob("*.py") if "local" in {m.partition(".")[0] for m in imports(path)}
    ]


def test_the_top_of_the_source_is_small() -> None:
    folders = {path.name for path in SOURCE.iterdir() if path.is_dir() and any(path.glob("*.py"))}
    assert folders == set(MAY_IMPORT)
    assert not list(SOURCE.glob("*.py"))


@pytest.mark.parametrize(
    "folder",
    [
        *("abuse", "deploy", "docs", "e2e", "functions", "local"),
        *("relay", "support", "unit", "web"),
    ],
)
def test_no_test_imports_from_another_or_from_its_fixtures(folder: str) -> None:
    """What several tests need is in tests/support."""
    names = {
        module.rpartition(".")[2]
        for path in (ROOT / "tests" / folder).rglob("*.py")
        for module in imports(path)
    }
    assert [name for name in names if name == "conftest" or name.startswith("test_")] == []


def data_classes(monkeypatch: pytest.MonkeyPatch) -> Iterator[type]:
    """Yield the classes of the functions that only hold data, and that have something in them."""
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")  # Some modules need it to be loaded.
    for path in sorted(SOURCE.glob("*/*.py")):
        if path.stem in {"__main__", "handler"}:
            continue
        name = ".".join(path.relative_to(SOURCE).with_suffix("").parts).removesuffix(".__init__")
        for value in vars(importlib.import_module(name)).values():
            if isinstance(value, type) and value.__module__ == name and dataclasses.is_dataclass(value):
                yield value


def test_data_is_small_and_cannot_be_changed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Threads and invocations share it, and it is a key of caches."""
    classes = list(data_classes(monkeypatch))
    assert len(classes) > 10
    for one in classes:
        made: object = object.__new__(one)
        assert not hasattr(made, "__dict__"), f"{one} has no slots"
        for field in dataclasses.fields(one):
            with pytest.raises(dataclasses.FrozenInstanceError):
                setattr(made, field.name, "changed")
