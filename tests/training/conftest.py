import pytest
from accelerate.state import AcceleratorState
from rich.console import Console

from ganforge.recipe import Recipe, resolve
from ganforge.training.loop import train
from ganforge.training.run import Run
from ganforge.training.saving.resume import Resume
from ganforge.training.session import run_session
from ganforge.training.telemetry.progress import ProgressDisplay


@pytest.fixture(autouse=True)
def fresh_accelerate():
    """Accelerate keeps its processes and precision in globals; each test starts without them."""
    AcceleratorState._reset_state(reset_partial_state=True)
    yield
    AcceleratorState._reset_state(reset_partial_state=True)


@pytest.fixture
def make_recipe(tmp_path):
    """A tiny ring recipe, changed by tables that are merged one level deep."""

    def make(**changes) -> Recipe:
        table = {
            "name": "tiny",
            "output": str(tmp_path / "runs"),
            "data": {"name": "ring", "samples": 1000, "cache_dir": str(tmp_path / "cache")},
            "generator": {"name": "mlp", "width": 16, "latent_dim": 8},
            "discriminator": {"name": "mlp", "width": 16},
            "training": {"steps": 6, "batch_size": 32, "log_every": 1},
            "samples": {"every": 0, "num": 16},
        }
        for key, value in changes.items():
            is_table = isinstance(value, dict) and isinstance(table.get(key), dict)
            replaces = is_table and "name" in value and value["name"] != table[key].get("name", value["name"])
            table[key] = {**table[key], **value} if is_table and not replaces else value
        return resolve(table)

    return make


@pytest.fixture
def train_silently():
    """Train a recipe in its folder as the command line does, without the bar."""

    def run(recipe: Recipe, resume: Resume = "auto", allow_changed: bool = False) -> int:
        return run_session(recipe, resume=resume, allow_changed=allow_changed)

    return run


@pytest.fixture
def build_and_train():
    """Train without a run folder's log and return the run, for tests that look inside."""

    def run(recipe: Recipe) -> Run:
        built = Run.build(recipe)
        recipe.folder.mkdir(parents=True, exist_ok=True)
        display = ProgressDisplay(Console(quiet=True), start=0, total=1)
        train(built, None, display)
        return built

    return run
