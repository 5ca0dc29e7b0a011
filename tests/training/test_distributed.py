"""Two real processes over gloo."""

import json
import os
import signal
import subprocess
import time
from pathlib import Path

import psutil
import pytest
import pythons
import torch
from rich.console import Console
from same_run import assert_same_run, figures
from two_processes import launch_two

from ganforge.errors import CheckpointError
from ganforge.recipe import Recipe, dump, load
from ganforge.saved.checkpoint import Checkpoint, whole_checkpoints
from ganforge.saved.checkpoint_writer import CheckpointWriter
from ganforge.telemetry.progress import ProgressDisplay
from ganforge.training.loop import train
from ganforge.training.run import Run
from ganforge.training.session import run_session
from training.test_reproducible import RANDOM

ROOT = Path(__file__).parents[2]


def trained_parts(path: str, out: str) -> None:
    """In each process: train, then write this rank's networks and figures."""
    recipe = load(path)
    run = Run.build(recipe)
    train(run, None, ProgressDisplay(Console(quiet=True), start=0, total=1))
    rank = run.accelerator.process_index
    assert run.accelerator.num_processes == 2
    figures = (
        {} if run.evaluator is None else {key: value for key, value in run.progress.figures.items() if key != "seconds"}
    )
    with run.statistics.for_evaluation():
        networks = {name: network.state_dict() for name, network in run.saved_networks().items()}
        torch.save({"networks": networks, "figures": figures}, f"{out}/rank{rank}.pt")


def run_on_two(recipe: Recipe, folder: Path) -> list[dict]:
    path = folder / "recipe.toml"
    path.write_text(dump(recipe))
    recipe.folder.mkdir(parents=True, exist_ok=True)
    launch_two(trained_parts, (str(path), str(folder)))
    return [torch.load(folder / f"rank{rank}.pt") for rank in (0, 1)]


def assert_states_equal(one: dict, other: dict) -> None:
    for name in one:
        for key, tensor in one[name].items():
            assert torch.equal(tensor, other[name][key]), f"{name}.{key}"


def test_replicas_are_equal_at_the_end_with_batch_norm_and_r1(make_recipe, tmp_path):
    recipe = make_recipe(
        data={"name": "digits", "size": 16},
        generator={"name": "dcgan", "width": 4, "latent_dim": 8},
        discriminator={"name": "dcgan", "width": 4},
        training={"steps": 5, "batch_size": 8},
        penalties=[{"name": "r1", "gamma": 0.1}],
    )
    ranks = run_on_two(recipe, tmp_path)
    assert_states_equal(ranks[0]["networks"], ranks[1]["networks"])


def test_saving_and_looking_change_nothing_of_a_training_with_batch_norm(make_recipe, tmp_path):
    """Each rank's running statistics are its own again afterwards, to the last bit."""
    ended = []
    for often in (1, 100):
        recipe = make_recipe(
            name=f"every{often}",
            generator={"norm": "batch"},
            checkpoint={"every": often},
            samples={"every": often, "num": 4},
        )
        folder = tmp_path / recipe.name
        folder.mkdir()
        ended.append(run_on_two(recipe, folder))
    assert_states_equal(ended[0][0]["networks"], ended[1][0]["networks"])


@pytest.mark.parametrize("pieces", [1, 2], ids=["whole", "accumulated"])
def test_two_ranks_train_what_one_process_trains(make_recipe, build_and_train, tmp_path, pieces):
    table = {
        "training": {"steps": 10, "discriminator_micro_batches": pieces, "generator_micro_batches": pieces},
        "penalties": [{"name": "r1", "gamma": 0.1}],
        "optimizer": {role: {"name": "sgd", "lr": 0.05} for role in ("generator", "discriminator")},
        "evaluation": {"metrics": ["modes"], "num_fakes": 101},
    }
    ranks = run_on_two(make_recipe(**table), tmp_path)
    assert_states_equal(ranks[0]["networks"], ranks[1]["networks"])
    alone = build_and_train(make_recipe(**table, name="alone"))
    for name, network in alone.saved_networks().items():
        for key, tensor in network.state_dict().items():
            torch.testing.assert_close(ranks[0]["networks"][name][key], tensor, rtol=1e-4, atol=1e-6)
    assert ranks[0]["figures"] == ranks[1]["figures"]
    of_one = {key: value for key, value in alone.progress.figures.items() if key != "seconds"}
    assert ranks[0]["figures"] == pytest.approx(of_one, abs=0.011)


def session(path: str, out: str) -> None:
    """In each process: a whole session, as the command line runs it."""
    assert run_session(load(path)) == 0


def test_two_ranks_resume_bit_for_bit(make_recipe, tmp_path):
    folders = []
    for name in ("whole", "parts"):
        recipe = make_recipe(**RANDOM, generator={"norm": "batch"}, name=name)
        path = tmp_path / f"{name}.toml"
        path.write_text(dump(recipe))
        launch_two(session, (str(path), ""))
        folders.append(recipe.folder)
    for path in whole_checkpoints(folders[1] / "checkpoints")[1:]:
        path.rename(path.with_name(f"gone-{path.name}"))
    launch_two(session, (str(tmp_path / "parts.toml"), ""))
    assert_same_run(*folders)


def failing_on_rank_one(path: str, out: str) -> None:
    """In each process: a session in which rank 1 cannot write its part; what each rank says."""
    write_rank = CheckpointWriter.write_rank

    def fails(self, rank, state):
        if rank == 1:
            raise OSError(28, "No space left on device")
        return write_rank(self, rank, state)

    CheckpointWriter.write_rank = fails
    with pytest.raises(CheckpointError) as error:
        run_session(load(path))
    Path(f"{out}/said{os.environ['RANK']}").write_text(str(error.value))


def test_a_part_that_one_rank_cannot_write_fails_the_checkpoint_on_all_ranks(make_recipe, tmp_path):
    recipe = make_recipe(training={"steps": 2})
    path = tmp_path / "recipe.toml"
    path.write_text(dump(recipe))
    launch_two(failing_on_rank_one, (str(path), str(tmp_path)))
    assert "another process could not write its part" in (tmp_path / "said0").read_text()
    assert "No space left on device" in (tmp_path / "said1").read_text()
    assert whole_checkpoints(recipe.folder / "checkpoints") == []


def test_a_run_of_two_processes_goes_on_with_one_to_rounding(make_recipe, tmp_path, train_silently, capsys):
    table = {
        "checkpoint": {"every": 3, "keep_last": 9},
        "optimizer": {role: {"name": "sgd", "lr": 0.05} for role in ("generator", "discriminator")},
    }
    path = tmp_path / "recipe.toml"
    path.write_text(dump(make_recipe(**table, name="shrunk", training={"steps": 3})))
    launch_two(session, (str(path), ""))
    shrunk, alone = make_recipe(**table, name="shrunk"), make_recipe(**table, name="alone")
    train_silently(shrunk)
    assert "2 processes then, 1 now" in capsys.readouterr().out
    train_silently(alone)
    for mine, theirs in zip(figures(shrunk.folder), figures(alone.folder), strict=True):
        assert mine == pytest.approx(theirs, rel=1e-4, abs=1e-6)


def launch(arguments: list[str], recipe: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    command = ("-m", "accelerate.commands.launch", "--quiet", *arguments, "-m", "ganforge", "train", recipe)
    return pythons.run(*command, env={**os.environ, **environment})


@pytest.mark.slow
def test_the_readmes_launch_line_runs_two_processes_and_a_resume_goes_on(make_recipe, tmp_path):
    recipe = make_recipe(checkpoint={"every": 2}, name="pair")
    path = tmp_path / "recipe.toml"
    path.write_text(dump(recipe))
    config = ["--config_file", str(ROOT / "launch/accelerate/cpu2.yaml")]
    done = launch(config, path, ACCELERATE_USE_CPU="true")
    assert done.returncode == 0, done.stderr
    assert "pair: 2 processes on cpu, precision no" in done.stdout
    path.write_text(dump(make_recipe(name="pair", training={"steps": 9})))
    done = launch(config, path, ACCELERATE_USE_CPU="true")
    assert done.returncode == 0, done.stderr
    assert "at step 6" in done.stdout
    steps = [json.loads(line)["step"] for line in (recipe.folder / "metrics.jsonl").read_text().splitlines()]
    assert steps == list(range(1, 10))


@pytest.mark.slow
def test_a_launch_that_would_silently_run_one_process_is_refused(make_recipe, tmp_path):
    path = tmp_path / "recipe.toml"
    path.write_text(dump(make_recipe()))
    done = launch(["--cpu", "--num_processes", "2"], path)
    assert done.returncode != 0
    assert "several processes were asked for, but `accelerate launch --cpu` starts only one" in done.stderr
    assert not (tmp_path / "runs").exists()


@pytest.mark.slow
@pytest.mark.parametrize(("number", "to"), [(signal.SIGUSR1, "one rank"), (signal.SIGTERM, "all ranks")])
def test_a_signal_to_any_rank_stops_all_in_the_same_step_and_a_restart_equals_an_unbroken_run(
    make_recipe, tmp_path, number, to
):
    table = {**RANDOM, "checkpoint": {"every": 50_000}}
    path = tmp_path / "recipe.toml"
    recipe = make_recipe(**{**table, "training": {**RANDOM["training"], "steps": 100_000}}, name="stopped")
    path.write_text(dump(recipe))
    process = pythons.start(
        "-m", "torch.distributed.run", "--nproc-per-node", "2", "-m", "ganforge", "train", path,
        env={**os.environ, "ACCELERATE_USE_CPU": "true"},
    )  # fmt: skip
    log = recipe.folder / "metrics.jsonl"
    deadline = time.monotonic() + 90
    while not (log.exists() and log.read_text().count("\n") > 3):
        assert time.monotonic() < deadline
        assert process.poll() is None, process.communicate()
        time.sleep(0.05)
    ranks = psutil.Process(process.pid).children()
    assert len(ranks) == 2
    for rank in ranks if to == "all ranks" else ranks[1:]:
        rank.send_signal(number)
    output = "".join(process.communicate(timeout=120))
    assert "everything is saved" in output, output
    assert output.count("exitcode  : 85") >= 1, output
    step = Checkpoint(whole_checkpoints(recipe.folder / "checkpoints")[-1]).state["step"]

    folders = [recipe.folder]
    for name in ("stopped", "unbroken"):
        path.write_text(
            dump(make_recipe(**{**table, "training": {**RANDOM["training"], "steps": step + 5}}, name=name))
        )
        launch_two(session, (str(path), ""))
        folders.append(recipe.folder.with_name(name))
    assert_same_run(folders[2], folders[0])
