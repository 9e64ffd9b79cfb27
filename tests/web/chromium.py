"""The Chromium that the page is tested in. `python -m tests.web.chromium` prints its path."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

from playwright.sync_api import Playwright, sync_playwright

NAMES = ("chromium", "google-chrome", "chromium-browser")
# Containers do not permit a sandbox. The other switches keep the browser from making requests of its own.
ARGUMENTS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)


def find_chromium(playwright: Playwright) -> str | None:
    """Return the path of the system's Chromium, else of Playwright's; None without either."""
    candidates = [*map(shutil.which, NAMES), playwright.chromium.executable_path]
    return next((path for path in candidates if path is not None and Path(path).exists()), None)


def main() -> int:
    with sync_playwright() as playwright:
        found = find_chromium(playwright)
    print(found or "no Chromium")
    return 0 if found else 1


if __name__ == "__main__":
    sys.exit(main())
