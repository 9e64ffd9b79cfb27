"""What happens to these tests where something that they need is missing."""

from __future__ import annotations

import pytest

from tests.support.prerequisites import cannot_run


def test_a_skipped_test_says_what_to_run(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CI", raising=False)
    with pytest.raises(pytest.skip.Exception, match=r"^The page is not built. Run: make page$"):
        cannot_run("The page is not built", "make page")


def test_nothing_is_skipped_in_ci(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CI", "true")
    with pytest.raises(pytest.fail.Exception, match=r"^Chromium is not installed. Run: make chromium$"):
        cannot_run("Chromium is not installed", "make chromium")
