"""Minibatch standard deviation keeps modes that plain binary cross-entropy loses."""

from pathlib import Path

import pytest
from accelerate.state import AcceleratorState

from ganforge.recipe import load
from ganforge.training.loop import train
from ganforge.training.run import Run
from ganforge.training.telemetry.progress import ProgressDisplay

RECIPE = Path(__file__).parents[1] / "recipes" / "ring2d.toml"
BETA1_HALF = [f"optimizer.{player}.betas=[0.5,0.999]" for player in ("generator", "discriminator")]
SEEDS = (0, 3, 5)


def modes_at_the_end(seed: int, folder: Path, overrides: list[str]) -> float:
    AcceleratorState._reset_state(reset_partial_state=True)
    run = Run.build(load(RECIPE, [f"seed={seed}", f"output={folder}", "evaluation.every=0", *BETA1_HALF, *overrides]))
    (folder / "ring2d").mkdir(exist_ok=True)
    train(run, None, ProgressDisplay(None, start=0, total=1))
    return run.progress.figures["modes"]


@pytest.mark.slow
def test_minibatch_deviation_keeps_modes_that_plain_cross_entropy_loses(tmp_path):
    plain = [modes_at_the_end(seed, tmp_path, []) for seed in SEEDS]
    aware = [modes_at_the_end(seed, tmp_path, ["discriminator.minibatch_std=16"]) for seed in SEEDS]
    print(f"\nplain: {plain}\nminibatch_std = 16: {aware}")
    assert all(more >= 6 and more > fewer for fewer, more in zip(plain, aware, strict=True))
