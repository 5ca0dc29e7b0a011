"""ring2d, the toy on which stabilisers are compared: what its header says about beta1 is so."""

from pathlib import Path

import pytest
from accelerate.state import AcceleratorState

from ganforge.recipe import load
from ganforge.training.loop import train
from ganforge.training.run import Run
from ganforge.training.telemetry.progress import ProgressDisplay

RECIPE = Path(__file__).parents[1] / "recipes" / "ring2d.toml"
BETA1_HALF = [f"optimizer.{player}.betas=[0.5,0.999]" for player in ("generator", "discriminator")]


def modes_at_the_end(seed: int, folder: Path, overrides: list[str]) -> tuple[float, float]:
    AcceleratorState._reset_state(reset_partial_state=True)
    run = Run.build(load(RECIPE, [f"seed={seed}", f"output={folder}", "evaluation.every=0", *overrides]))
    (folder / "ring2d").mkdir(exist_ok=True)
    train(run, None, ProgressDisplay(None, start=0, total=1))
    return run.progress.figures["modes"], run.progress.figures["good_points"]


@pytest.mark.slow
def test_beta1_zero_keeps_all_modes_and_one_half_does_not(tmp_path):
    seeds = (0, 3, 5)
    kept = [modes_at_the_end(seed, tmp_path, []) for seed in seeds]
    lost = [modes_at_the_end(seed, tmp_path, BETA1_HALF) for seed in seeds]
    print(f"\nbeta1 0: {kept}\nbeta1 0.5: {lost}")
    assert all(modes == 8 and good > 0.5 for modes, good in kept)
    assert sum(modes for modes, _ in lost) < 24
