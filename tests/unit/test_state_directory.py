"""The folder of a stack: one stack at a time, and facts only of one that is ready."""

import json
import re
from pathlib import Path

import pytest

from local.stack.state_directory import StackRunningError, StateDirectory
from tests.support.stack_facts import FACTS

PUBLISHED = {"stack.json": FACTS.to_json(), "for-others.json": "{}"}


def state_directory(path: Path) -> StateDirectory:
    return StateDirectory(path, ["for-others.json"])


def test_facts_are_there_while_the_stack_is_ready_and_only_for_its_owner(tmp_path: Path) -> None:
    file = tmp_path / "stack.json"
    other = tmp_path / "for-others.json"
    with state_directory(tmp_path) as state:
        assert not file.exists()
        state.publish(PUBLISHED)
        facts = json.loads(file.read_text())
        assert facts["momento"]["port"] == 8080
        assert facts["users"] == [{"username": "taylor", "password": "password"}]
        assert file.stat().st_mode & 0o777 == 0o600
        assert other.read_text() == "{}"
    assert not file.exists()
    assert not other.exists()


def test_a_second_stack_is_told_of_the_first_and_leaves_it_alone(tmp_path: Path) -> None:
    with state_directory(tmp_path) as state:
        with pytest.raises(StackRunningError, match="still starting"), state_directory(tmp_path):
            pass
        state.publish(PUBLISHED)
        with pytest.raises(StackRunningError, match=re.escape(FACTS.token_url)), state_directory(tmp_path):
            pass
        assert (tmp_path / "stack.json").exists()
    with state_directory(tmp_path):
        pass


def test_what_a_killed_stack_has_left_is_removed(tmp_path: Path) -> None:
    (tmp_path / "stack.json").write_text("stale")
    (tmp_path / "stack.json.new").write_text("half writ")
    (tmp_path / "for-others.json").write_text("stale")
    (tmp_path / "lock").write_text("999999\n")
    with state_directory(tmp_path) as state:
        assert not (tmp_path / "stack.json").exists()
        assert not (tmp_path / "for-others.json").exists()
        state.publish(PUBLISHED)
