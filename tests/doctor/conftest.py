from collections.abc import Callable
from pathlib import Path

import pytest
from accelerate.state import AcceleratorState

from ganforge.recipe import Recipe, load
from ganforge.training.session import run_session


@pytest.fixture(autouse=True)
def fresh_accelerate():
    """Accelerate keeps its processes and precision in globals; each test starts without them."""
    AcceleratorState._reset_state(reset_partial_state=True)
    yield
    AcceleratorState._reset_state(reset_partial_state=True)


@pytest.fixture
def recipe_of(tmp_path) -> Callable[..., Recipe]:
    """A shipped recipe in a folder of the test, without what costs time and is not the doctor's."""

    def make(name: str, *changes: str) -> Recipe:
        quiet = ["evaluation.metrics=[]", "samples.every=0", "samples.num=16", f"data.cache_dir={tmp_path / 'cache'}"]
        table = [f"output={tmp_path / 'runs'}", *quiet, *changes]
        return load(Path(__file__).parents[2] / "recipes" / f"{name}.toml", table)

    return make


@pytest.fixture
def trained(recipe_of) -> Callable[..., Path]:
    """The folder of a shipped recipe, changed and trained to its end."""

    def train(name: str, *changes: str) -> Path:
        recipe = recipe_of(name, *changes)
        assert run_session(recipe) == 0
        return recipe.folder

    return train
