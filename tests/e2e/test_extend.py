"""docs/extend.md, done as it says: a new topic is one file and one line."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.project import ROOT
from tests.support.running_stack import running_stack

DOCUMENT = (ROOT / "docs/extend.md").read_text(encoding="utf-8")
COPIED = ("src", "local", "tests", "events", "docs", "template.yaml", "pyproject.toml")
LAMBDA_URL = "http://127.0.0.1:3001"


def blocks(language: str) -> list[str]:
    """Return the code blocks of the document in a language."""
    return re.findall(rf"^```{language}\n(.*?)^```$", DOCUMENT, re.MULTILINE | re.DOTALL)


def files() -> dict[str, str]:
    """Return the files that the document tells its reader to write, by path."""
    return dict(re.findall(r"^`([\w/]+\.py)`:\n\n```python\n(.*?)^```$", DOCUMENT, re.MULTILINE | re.DOTALL))


@pytest.fixture(scope="module")
def clone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a copy of the project with the document's file and line in it."""
    clone = tmp_path_factory.mktemp("clone")
    for name in COPIED:
        source = ROOT / name
        if source.is_dir():
            shutil.copytree(source, clone / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(source, clone / name)
    (clone / ".venv").symlink_to(sys.prefix)
    for path, content in files().items():
        assert not (clone / path).exists()
        (clone / path).write_text(content, encoding="utf-8")
    [line] = blocks("diff")
    [kept, added] = [(text[0], text[1:]) for text in line.splitlines()]
    assert (kept[0], added[0]) == (" ", "+")
    registry = clone / "src/topics/__init__.py"
    before = registry.read_text(encoding="utf-8")
    assert before.count(kept[1]) == 1
    registry.write_text(before.replace(kept[1], f"{kept[1]}\n{added[1]}"), encoding="utf-8")
    return clone


def shell(clone: Path, script: str) -> str:
    """Return what a block of the document prints."""
    environment = {**os.environ, "PYTHONPATH": str(clone)}
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", script],
        cwd=clone,
        env=environment,
        capture_output=True,
        text=True,
        timeout=90,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_the_document_writes_one_topic_and_one_test() -> None:
    assert list(files()) == ["src/topics/reaction.py", "tests/functions/test_reaction.py"]


def test_a_message_of_the_new_topic_goes_through_the_whole_loop(clone: Path) -> None:
    [_, by_a_service, by_a_user, _, _] = blocks("sh")
    with running_stack(clone / ".local", root=clone) as stack:
        answer = shell(clone, by_a_service.replace(LAMBDA_URL, stack.facts["lambda_url"]))
        assert answer == '{"published": 1, "failed": []}'
        assert shell(clone, by_a_user) == "{'jordan': '👍', 'taylor': '🎉'}\n"


def test_the_documents_test_passes(clone: Path) -> None:
    [_, _, _, test, _] = blocks("sh")
    assert "2 passed" in shell(clone, test)


def test_the_deployment_switches_the_topic_on() -> None:
    assert 'Topics="comment,reaction"' in DOCUMENT
    assert "reaction" in files()["src/topics/reaction.py"]
