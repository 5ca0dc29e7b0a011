"""The schedule `two_phase` on the digits: the discriminator's accuracy stays in its band where one to one leaves it."""

import json
from pathlib import Path

import numpy as np
import pytest
from accelerate.state import AcceleratorState

from ganforge.recipe import load
from ganforge.training.session import run_session

RECIPE = Path(__file__).parents[1] / "recipes" / "digits32.toml"
# A generator five times slower than its discriminator: the game that the discriminator wins.
UNEVEN = [
    "objective.real_label=1.0",
    "optimizer.generator.lr=2e-4",
    "optimizer.generator.decay=none",
    "optimizer.discriminator.decay=none",
    "training.steps=240",
    "training.log_every=2",
    "samples.every=0",
    "evaluation.at_end=false",
]
TWO_PHASE = ["schedule.name=two_phase", "schedule.high=0.8", "schedule.low=0.7", "schedule.window=2"]
WARM_UP, SMOOTHING = 20, 5


def lines_of(folder: Path, overrides: list[str]) -> list[dict[str, float]]:
    AcceleratorState._reset_state(reset_partial_state=True)
    recipe = load(RECIPE, [f"output={folder}", *UNEVEN, *overrides])
    assert run_session(recipe) == 0
    return [json.loads(line) for line in (recipe.folder / "metrics.jsonl").read_text().splitlines()]


def share_in_band(accuracies: list[float]) -> float:
    """Of means over ten steps, after the first forty: within a tenth of the two thresholds."""
    smooth = np.array(accuracies[WARM_UP:]).reshape(-1, SMOOTHING).mean(axis=1)
    return float(((smooth >= 0.6) & (smooth <= 0.9)).mean())


@pytest.mark.slow
def test_two_phase_keeps_the_accuracy_in_its_band_where_one_to_one_leaves_it(tmp_path, capsys):
    fixed = lines_of(tmp_path / "fixed", [])
    paused = lines_of(tmp_path / "paused", TWO_PHASE)
    told = capsys.readouterr().out
    both = [0.5 * (line["discriminator/accuracy_real"] + line["discriminator/accuracy_fake"]) for line in fixed]
    shares = {
        "one to one": share_in_band(both),
        "two_phase": share_in_band([line["schedule/accuracy"] for line in paused]),
    }
    print(shares)
    assert shares["two_phase"] >= 0.6
    assert shares["one to one"] <= 0.4
    assert 0.1 < np.mean([line["schedule/discriminator_pauses"] for line in paused]) < 0.95
    assert "and pauses" in told
    assert "and moves again" in told
