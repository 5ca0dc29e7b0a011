"""The manual as a site: it builds without a warning, no page is empty, and its search finds a part."""

import os
import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from blocks import PAGES, ROOT
from browser import browser  # noqa: F401 # a fixture

from ganforge.registry import register

SECONDS = 120
"""For each wait of the browser: on an idle machine the whole search takes two."""


class Quiet(SimpleHTTPRequestHandler):
    """Serves files and prints nothing."""

    def log_message(self, format: str, *args: Any) -> None:
        pass


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The site, built as `make docs` builds it."""
    folder = tmp_path_factory.mktemp("site")
    done = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", str(folder)],
        capture_output=True, text=True, cwd=ROOT, timeout=300,
        env={**os.environ, "NO_MKDOCS_2_WARNING": "1", "PYTHONPATH": str(ROOT)},
    )  # fmt: skip
    assert done.returncode == 0, f"{done.stdout[-2000:]}\n{done.stderr[-2000:]}"
    return folder


@pytest.fixture(scope="module")
def address(site: Path) -> Iterator[str]:
    """Where the site is served: the search's worker does not start on a page that is opened from the disk."""
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(site))) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


@pytest.mark.parametrize("page", [pytest.param(page, id=page.relative_to(ROOT).as_posix()) for page in PAGES])
def test_a_page_has_a_title_and_text(page: Path) -> None:
    title, *text = page.read_text(encoding="utf-8").splitlines() or [""]
    assert re.match(r"# \S", title), "a page that a merge emptied still builds"
    assert any(line.strip() for line in text)


@pytest.mark.slow
def test_the_site_has_every_page_and_every_kind(site: Path) -> None:
    for page in (ROOT / "docs").rglob("*.md"):
        built = site / page.relative_to(ROOT / "docs").with_suffix(".html")
        assert page.read_text(encoding="utf-8").splitlines()[0].removeprefix("# ") in built.read_text(encoding="utf-8")
    for kind in register.kinds().values():
        text = (site / "parts" / f"{kind.name}.html").read_text(encoding="utf-8")
        ours = [component.name for component in kind.loaded() if component.package.startswith("ganforge ")]
        missing = [name for name in ours if f'id="{name}"' not in text]  # other tests register parts of examples
        assert ours, kind.name
        assert not missing, (kind.name, missing)


@pytest.mark.slow
def test_the_search_finds_a_part(address: str, browser: Any) -> None:  # noqa: F811
    page = browser.new_page()
    page.set_default_timeout(SECONDS * 1000)
    page.goto(f"{address}/index.html")
    page.locator("[data-md-component=search-query]").click()
    # Until its worker has read the index the box says so, and what is typed goes nowhere.
    page.locator(".md-search-result__meta", has_text="Type to start searching").wait_for()
    # The search listens to keys: Playwright's `fill` presses none, and is seen only if it wins a race with the focus.
    page.locator("[data-md-component=search-query]").press_sequentially("dragan")
    found = page.locator(".md-search-result__link[href*='parts/penalty.html']").first
    found.wait_for()
    found.click()
    page.wait_for_url("**/parts/penalty.html*")
    assert page.locator("h2#dragan").is_visible()
    page.close()
