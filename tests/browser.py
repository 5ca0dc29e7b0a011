"""The fixture of a headless Chromium, for the tests that look at pages."""

import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    """A headless Chromium: the system's, or playwright's own. CI has one; elsewhere its absence skips the test.

    Of one file only: while playwright is open, its event loop runs in this thread, and nothing else's can.
    """
    sync_api = pytest.importorskip("playwright.sync_api", reason="needs the package playwright (extra dev)")
    with sync_api.sync_playwright() as playwright:
        path = shutil.which("chromium") or shutil.which("google-chrome") or playwright.chromium.executable_path
        if not Path(path).exists():
            missing = "needs Chromium: apt-get install chromium, or `playwright install chromium`"
            (pytest.fail if os.environ.get("CI") else pytest.skip)(missing)
        sandbox = [] if os.geteuid() else ["--no-sandbox"]  # which Chromium refuses to root
        launched = playwright.chromium.launch(executable_path=path, args=sandbox)
        yield launched
        launched.close()
