"""The same seed gives the same run, and a run that was interrupted is the run that was not."""

import os
import signal
import subprocess
import sys
import time

import pytest
import pythons
import torch
from safetensors.torch import load_file
from same_run import assert_same_run, figures

from ganforge.recipe import dump
from ganforge.saved.checkpoint import Checkpoint, whole_checkpoints

RANDOM = {
    "discriminator": {"name": "mlp", "width": 16, "dropout": 0.3},
    "augment": [{"name": "instance_noise", "sigma": 0.05}],
    "penalties": [{"name": "r1", "gamma": 0.1, "interval": 4}],
    "evaluation": {"metrics": ["modes"], "every": 4, "num_fakes": 100},
    "training": {"steps": 12, "batch_size": 32, "log_every": 3, "ema": 200.0},
    "checkpoint": {"every": 5, "keep_last": 10},
    "samples": {"every": 6, "num": 16},
}


def test_two_runs_of_one_seed_have_identical_losses_for_50_steps(make_recipe, train_silently):
    runs = []
    for name in ("first", "second"):
        recipe = make_recipe(**{**RANDOM, "name": name, "training": {**RANDOM["training"], "steps": 50}})
        assert train_silently(recipe) == 0
        runs.append(recipe.folder)
    assert len(figures(runs[0])) > 16
    assert_same_run(*runs)


def test_another_seed_gives_another_run(make_recipe, train_silently):
    folders = []
    for seed in (0, 1):
        recipe = make_recipe(name=f"seed{seed}", seed=seed)
        train_silently(recipe)
        folders.append(recipe.folder)
    assert figures(folders[0])[0]["generator/loss"] != figures(folders[1])[0]["generator/loss"]


def test_n_steps_and_m_more_equal_n_plus_m(make_recipe, train_silently):
    whole = make_recipe(**RANDOM, name="whole")
    train_silently(whole)
    first = make_recipe(**RANDOM, name="parts")
    # Killed after the checkpoint of step 5: the folder holds figures and pictures of later steps as well.
    train_silently(first)
    checkpoints = whole_checkpoints(first.folder / "checkpoints")
    for path in checkpoints:
        if int(path.name.removeprefix("step-")) > 5:
            path.rename(path.with_name(f"gone-{path.name}"))
    assert train_silently(make_recipe(**RANDOM, name="parts")) == 0
    assert_same_run(whole.folder, first.folder)


def test_an_unbroken_digits_run_equals_a_resumed_one(make_recipe, train_silently):
    """Convolutions, batch norm's running statistics and pictures, too."""
    table = {
        "data": {"name": "digits", "size": 16, "flip": True},
        "generator": {"name": "dcgan", "width": 4, "latent_dim": 8},
        "discriminator": {"name": "dcgan", "width": 4, "dropout": 0.2},
        "training": {"steps": 4, "batch_size": 8, "log_every": 1},
        "checkpoint": {"every": 2, "keep_last": 10},
    }
    for name in ("whole", "parts"):
        train_silently(make_recipe(**table, name=name))
    parts = make_recipe(**table, name="parts")
    whole_checkpoints(parts.folder / "checkpoints")[-1].rename(parts.folder / "checkpoints" / "gone")
    train_silently(parts)
    assert_same_run(make_recipe(**table, name="whole").folder, parts.folder)


@pytest.mark.slow
@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 85), (signal.SIGUSR1, 85), (signal.SIGINT, 130)])
def test_a_signal_saves_leaves_with_its_code_and_the_next_start_goes_on(
    make_recipe, train_silently, tmp_path, number, code
):
    long = {**RANDOM, "training": {**RANDOM["training"], "steps": 100_000}, "checkpoint": {"every": 50_000}}
    recipe = make_recipe(**long, name="stopped")
    path = tmp_path / "recipe.toml"
    path.write_text(dump(recipe))
    process = pythons.start("-m", "ganforge", "train", path)
    log = recipe.folder / "metrics.jsonl"
    deadline = time.monotonic() + 60
    while not (log.exists() and log.read_text().count("\n") > 3):
        assert time.monotonic() < deadline
        assert process.poll() is None, process.communicate()
        time.sleep(0.05)
    os.kill(process.pid, number)
    output = "".join(process.communicate(timeout=120))
    assert process.returncode == code, output
    assert "everything is saved" in output
    assert "Traceback" not in output
    step = Checkpoint(whole_checkpoints(recipe.folder / "checkpoints")[-1]).state["step"]
    assert step > 3

    end = step + 7
    table = {**RANDOM, "training": {**RANDOM["training"], "steps": end}}
    train_silently(make_recipe(**table, name="stopped"))
    train_silently(make_recipe(**table, name="unbroken"))
    assert_same_run(make_recipe(**table, name="unbroken").folder, recipe.folder)


def test_the_averaged_generator_in_the_run_folder_is_the_checkpoints(make_recipe, train_silently):
    recipe = make_recipe()
    train_silently(recipe)
    saved = load_file(recipe.folder / "generator.last.safetensors")
    averaged = Checkpoint(whole_checkpoints(recipe.folder / "checkpoints")[-1]).tensors("averaged")
    assert all(torch.equal(saved[key], averaged[key]) for key in averaged)


@pytest.fixture
def heeded_interrupt():
    """Child processes heed SIGINT, also where the tests run in the background of a shell that ignores it."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("heeded_interrupt")
@pytest.mark.slow
@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 85), (signal.SIGUSR1, 85), (signal.SIGINT, 130)])
def test_a_signal_while_libraries_are_imported_or_the_run_is_built_leaves_with_its_code(
    make_recipe, tmp_path, number, code
):
    """Nothing is trained yet, and a launcher that starts it again loses nothing."""
    path = tmp_path / "recipe.toml"
    path.write_text(dump(make_recipe(training={"steps": 1_000_000})))
    for module in ("typer", "torch", "ganforge.training.session"):
        process = subprocess.Popen(
            [sys.executable, "-v", "-m", "ganforge", "train", str(path)],
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        )  # fmt: skip
        assert process.stdout is not None
        for line in process.stdout:
            if line.startswith(f"import '{module}"):
                break
        process.send_signal(number)
        output, _ = process.communicate(timeout=60)
        assert process.returncode == code, f"{module}: {output[-2000:]}"
        assert "Traceback" not in output
        assert "ganforge: asked to stop" in output
