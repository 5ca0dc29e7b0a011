import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from accelerate.state import AcceleratorState

from ganforge.recipe import load
from ganforge.training.session import run_session


@pytest.fixture(scope="session")
def run_folders(tmp_path_factory) -> dict[str, Path]:
    """Two short trainings on the ring: a usual one, and one whose discriminator hardly moves."""
    output = tmp_path_factory.mktemp("runs")
    short = [
        f"output={output}",
        f"data.cache_dir={output}/cache",
        "training.steps=300",
        "training.log_every=50",
        "samples.every=100",
        "samples.num=100",
        "evaluation.every=100",
        "evaluation.num_fakes=200",
        "checkpoint.every=100",
    ]
    folders = {}
    for name, changes in {"usual": [], "slow-d": ["optimizer.discriminator.lr=1e-6"]}.items():
        AcceleratorState._reset_state(reset_partial_state=True)
        recipe = load("recipes/ring2d.toml", [*short, f"name={name}", *changes])
        assert run_session(recipe) == 0
        folders[name] = recipe.folder
    AcceleratorState._reset_state(reset_partial_state=True)
    return folders


@pytest.fixture(scope="session")
def browser() -> Iterator:
    """A headless Chromium: the system's, or playwright's own. CI has one; elsewhere its absence skips the test."""
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
