"""The examples run as they stand, from a folder of somebody's own, in well under half a minute of one core each."""

import importlib.util
import re
import resource
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image
from two_processes import launch_two

EXAMPLES = Path(__file__).parent.parent / "examples"
CPU_SECONDS = 30


def run(name: str, *arguments: str, cwd: Path) -> str:
    """What an example prints."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime
    done = subprocess.run(
        [sys.executable, EXAMPLES / f"{name}.py", *arguments], cwd=cwd, capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime - before < CPU_SECONDS
    return done.stdout


def imported(name: str) -> Any:
    spec = importlib.util.spec_from_file_location(name, EXAMPLES / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_there_is_a_test_of_every_example() -> None:
    tested = {"plain_loop", "own_training_loop_with_loader", "fid_of_my_sampler", "accelerate_loop"}
    assert {path.stem for path in EXAMPLES.glob("*.py")} == tested


@pytest.mark.slow
def test_the_plain_loop_trains_and_writes_a_grid_of_digits(tmp_path: Path) -> None:
    assert "64 samples in digits.png" in run("plain_loop", cwd=tmp_path)
    with Image.open(tmp_path / "digits.png") as picture:
        assert picture.size[0] > 8 * 16
    assert sorted(path.name for path in tmp_path.iterdir()) == ["digits.png"], "it leaves nothing else in the folder"


@pytest.mark.slow
def test_the_fid_of_a_fitted_gaussian_is_far_below_that_of_noise(tmp_path: Path) -> None:
    printed = re.findall(r"(\w+): FID (\S+)", run("fid_of_my_sampler", cwd=tmp_path))
    figures = {name: float(value) for name, value in printed}
    assert figures["fitted"] < 0.5 * figures["noise"]


def test_the_own_loop_that_stops_and_goes_on_is_the_one_that_never_stopped(tmp_path: Path) -> None:
    main: Callable[..., None] = imported("own_training_loop_with_loader").main
    main(str(tmp_path / "whole"), steps=6)
    main(str(tmp_path / "parts"), steps=2)
    main(str(tmp_path / "parts"), steps=4)
    whole, parts = (torch.load(tmp_path / name / "state.pt", weights_only=True) for name in ("whole", "parts"))
    assert whole["step"] == parts["step"] == 6
    for network in ("generator_network", "discriminator_network"):
        for name, weight in whole[network].items():
            assert torch.equal(weight, parts[network][name]), f"{network}.{name}"


@pytest.mark.slow
def test_the_own_loop_runs_as_a_script_and_goes_on(tmp_path: Path) -> None:
    assert "step 150, generator: loss" in run("own_training_loop_with_loader", "mine", cwd=tmp_path)
    assert "goes on from step 150" in run("own_training_loop_with_loader", "mine", cwd=tmp_path)


@pytest.mark.slow
def test_the_accelerate_loop_trains_and_judges_itself(tmp_path: Path) -> None:
    assert re.search(r"FID \d+\.\d; 64 samples in digits.png", run("accelerate_loop", cwd=tmp_path))
    assert (tmp_path / "digits.png").is_file()


@pytest.mark.slow
def test_the_accelerate_loop_runs_on_two_processes(tmp_path: Path) -> None:
    launch_two(_four_steps, (str(tmp_path / "two.png"),))
    assert (tmp_path / "two.png").is_file()


def _four_steps(out: str) -> None:
    imported("accelerate_loop").main(out, steps=4)
