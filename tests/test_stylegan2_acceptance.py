"""StyleGAN2 at the size that a CPU can show: the digits on three seeds, a collapse that is told, a step at 1024x1024.

Five minutes of one core a seed, so all of it is asked for with `-m quality`.
"""

import json
import os
import resource
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from ganforge.doctor.journal import read_findings

RECIPES = Path(__file__).parents[1] / "recipes"
GIGABYTE = 2**20
"""In the kilobytes that `getrusage` counts in."""

pytestmark = [pytest.mark.slow, pytest.mark.quality, pytest.mark.timeout(3600)]


@pytest.fixture(autouse=True)
def is_asked_for(request: pytest.FixtureRequest) -> None:
    """Skip unless the marker was named, whatever else selects all that is slow."""
    if "quality" not in (request.config.getoption("markexpr") or ""):
        pytest.skip("takes minutes of one core: `-m quality` has it")


def train(recipe: str, output: Path, *changes: str) -> Path:
    """Train in a process of its own; returns the run folder."""
    overrides = [word for change in (f"output={output}", *changes) for word in ("--set", change)]
    done = subprocess.run(
        [sys.executable, "-m", "ganforge", "train", str(RECIPES / f"{recipe}.toml"), *overrides],
        env={**os.environ, "OMP_NUM_THREADS": "1"}, capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return output / recipe


def figures(folder: Path, name: str) -> dict[int, float]:
    lines: list[dict[str, Any]] = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    return {line["step"]: line[name] for line in lines if name in line}


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_the_digits_come_to_a_distance_of_70_or_less_in_1200_steps(seed: int, tmp_path: Path) -> None:
    distances = figures(train("digits32-stylegan2", tmp_path, f"seed={seed}"), "evaluation/fid")
    print(f"\nseed {seed}: {distances}")
    assert distances[1200] <= 70


def test_with_the_papers_slow_rate_and_a_weak_r1_the_same_networks_collapse_and_the_doctor_says_so(tmp_path) -> None:
    rates = [
        f"optimizer.{role}.{change}"
        for role in ("generator", "discriminator")
        for change in ("lr=2.5e-3", "decay=none")
    ]
    weak = ("penalties.0.gamma=0.1", "penalties.0.interval=16", "generator.mixing=0.9")
    folder = train("digits32-stylegan2", tmp_path, *rates, *weak, "training.steps=1000")
    print(f"\n{figures(folder, 'evaluation/fid')}", [(finding.step, finding.name) for finding in read_findings(folder)])
    # Seen on seed 0: missing_classes from step 550 on, and distances of 265, 671, 592 after 300, 600, 700 steps.
    assert {finding.name for finding in read_findings(folder)} & {"collapse", "missing_classes"}
    assert min(figures(folder, "evaluation/fid").values()) > 200


def test_a_step_at_1024_takes_less_than_16_gb(tmp_path: Path) -> None:
    pictures = tmp_path / "pictures"
    pictures.mkdir()
    for index in range(4):
        pixels = np.random.default_rng(index).integers(0, 256, (1024, 1024, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(pictures / f"{index}.png")
    pack = [sys.executable, "-m", "ganforge", "data", "pack", str(pictures), str(tmp_path / "shards")]
    subprocess.run(pack, check=True, capture_output=True)
    full = ("generator.channel_base=32768", "discriminator.channel_base=32768", "discriminator.minibatch_std=0")
    short = ("training.batch_size=1", "training.steps=1", "training.log_every=1", "samples.num=1", "samples.every=0")
    train("ffhq256-stylegan2", tmp_path, f"data.path={tmp_path / 'shards'}", *full, *short)
    most = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / GIGABYTE
    print(f"\nmost memory of a process: {most:.1f} GB")
    assert most < 16
