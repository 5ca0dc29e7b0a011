from pathlib import Path

import pytest
from accelerate.state import AcceleratorState
from browser import browser  # noqa: F401 # a fixture

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
