"""What digits32-conditional promises: the digit that was asked for, judged by somebody else."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from judge import Judge

from ganforge.data.digits import digits
from ganforge.data.samples import real_samples
from ganforge.sampling import Sampler, open_generator

RECIPE = Path(__file__).parents[1] / "recipes" / "digits32-conditional.toml"
A_CLASS = 180


@pytest.mark.slow
def test_nine_of_ten_samples_are_the_digit_that_was_asked_for(tmp_path):
    dataset = digits(tmp_path / "digits", size=32)
    assert dataset.labels is not None
    judge = Judge(real_samples(dataset, np.arange(len(dataset))), torch.from_numpy(dataset.labels))
    assert judge.accuracy >= 0.95
    done = subprocess.run(
        [sys.executable, "-m", "ganforge", "train", str(RECIPE), "--set", f"output={tmp_path}"],
        env={**os.environ, "OMP_NUM_THREADS": "1"}, capture_output=True, text=True, timeout=590,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    generator = open_generator(tmp_path / "digits32-conditional", device="cpu")
    samples = [Sampler(generator, seed=digit, label=digit).many(A_CLASS) for digit in range(10)]
    right = [(judge.classify(asked) == digit).mean() for digit, asked in enumerate(samples)]
    verdict = judge.judge(
        torch.stack(samples, dim=1).flatten(0, 1)
    )  # it looks at the first ones: all digits among them
    print(f"\nright by digit: {np.round(right, 2).tolist()}, together {np.mean(right):.3f}; {verdict}")
    assert np.mean(right) >= 0.9
    assert min(right) >= 0.7
    # Right, and still pictures of many hands: one picture a class would be right as well.
    assert verdict.recall >= 0.4
    assert verdict.nearest_ratio >= 0.8
