"""What `make demo` promises: digits32 learns real digits, on every seed, judged by somebody else."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from judge import Judge

import ganforge
from ganforge.data.digits import digits
from ganforge.data.samples import real_samples
from ganforge.sampling import draw

RECIPE = Path(__file__).parents[1] / "recipes" / "digits32.toml"


@pytest.fixture(scope="module")
def judge(tmp_path_factory):
    dataset = digits(tmp_path_factory.mktemp("digits"), size=32)
    assert dataset.labels is not None
    judge = Judge(real_samples(dataset, np.arange(len(dataset))), torch.from_numpy(dataset.labels))
    assert judge.accuracy >= 0.95
    print("\ncontrols:", judge.controls())
    return judge


@pytest.mark.slow
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_digits32_makes_all_ten_digits_well_and_copies_none(judge, seed, tmp_path):
    overrides = ["--set", f"seed={seed}", "--set", f"output={tmp_path}"]
    done = subprocess.run(
        [sys.executable, "-m", "ganforge", "train", str(RECIPE), *overrides],
        env={**os.environ, "OMP_NUM_THREADS": "1"}, capture_output=True, text=True, timeout=590,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    verdict = judge.judge(draw(ganforge.load_generator(tmp_path / "digits32"), 1797, seed=100 + seed))
    print(f"\nseed {seed}: {verdict}")
    assert verdict.ratio <= 4.5
    assert verdict.classes_covered == 10
    assert verdict.precision >= 0.35
    assert verdict.recall >= 0.6
    assert verdict.nearest_ratio >= 0.8
