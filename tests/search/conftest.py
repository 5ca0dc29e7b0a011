"""A generator and a discriminator that have learned a little of the digits, trained once for all tests here."""

from pathlib import Path

import pytest
import pythons

RECIPE = Path(__file__).parents[2] / "recipes" / "digits32.toml"
STEPS = 450


@pytest.fixture(scope="session")
def digits_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The run folder of a quarter of the recipe's training, about 20 CPU-seconds."""
    output = tmp_path_factory.mktemp("digits")
    changes = {"output": output, "training.steps": STEPS, "samples.every": 100, "evaluation.metrics": "[]"}
    overrides = [part for key, value in changes.items() for part in ("--set", f"{key}={value}")]
    done = pythons.run("-m", "ganforge", "train", RECIPE, *overrides)
    assert done.returncode == 0, done.stderr
    return output / "digits32"
