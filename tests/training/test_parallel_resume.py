"""Checkpoints of sharded optimizers: they come back bit for bit, only as they were, and without running code."""

import os
import shutil
from pathlib import Path
from typing import Any

import pytest
from same_run import assert_equal as assert_same_state
from same_run import assert_same_run
from two_processes import DDP, launch_two

from ganforge.errors import CheckpointError, DivergenceError
from ganforge.penalties import Penalty
from ganforge.recipe import dump, load
from ganforge.registry import register
from ganforge.saved.checkpoint import Checkpoint, whole_checkpoints
from ganforge.training.session import run_session
from training.test_divergence import break_in_this_process, recipe_that_breaks, watch_run  # noqa: F401  # a fixture
from training.ways import ZERO, allowed, needs_deepspeed

pytestmark = [pytest.mark.slow, needs_deepspeed]

TABLE = {
    "data": {"name": "digits", "size": 16},
    "generator": {"name": "dcgan", "width": 4, "latent_dim": 8},
    "discriminator": {"name": "dcgan", "width": 4, "dropout": 0.2},
    "penalties": [{"name": "r1", "gamma": 0.1, "interval": 2}],
    "training": {"steps": 7, "batch_size": 8, "log_every": 2},
    "checkpoint": {"every": 3, "keep_last": 10},
}


def _session(path: str, refusal: str, init_from: str) -> None:
    try:
        run_session(load(path), init_from=Path(init_from) if init_from else None)
    except CheckpointError as error:
        if not refusal:
            raise
        Path(refusal).write_text(str(error))
    else:
        assert not refusal


def session(
    recipe, folder: Path, environment: dict[str, str], is_refused: bool = False, init_from: str = "", prepare=None
) -> str:
    """Train on two processes as the command line does; the refusal, if one is expected."""
    path, refusal = folder / "recipe.toml", folder / "refusal.txt"
    path.write_text(dump(recipe))
    launch_two(_session, (str(path), str(refusal) if is_refused else "", init_from), environment, prepare)
    return refusal.read_text() if is_refused else ""


def forget_after(folder: Path, step: int) -> None:
    for path in whole_checkpoints(folder / "checkpoints"):
        if int(path.name.removeprefix("step-")) > step:
            shutil.rmtree(path)


@pytest.mark.parametrize("stage", [1, 2, 3])
def test_n_steps_and_m_more_equal_n_plus_m_with_sharded_optimizers(make_recipe, tmp_path, stage):
    recipe = make_recipe(**allowed(TABLE, ZERO[stage]))
    session(recipe, tmp_path, ZERO[stage])
    kept = tmp_path / "kept"
    shutil.copytree(recipe.folder, kept)
    forget_after(recipe.folder, 3)
    session(recipe, tmp_path, ZERO[stage])
    assert_same_run(kept, recipe.folder)
    mine, theirs = (Checkpoint(whole_checkpoints(folder / "checkpoints")[-1]) for folder in (kept, recipe.folder))
    for rank in (0, 1):
        assert_same_state(mine.rank(rank), theirs.rank(rank))
    ranks: Any = [mine.rank(rank) for rank in (0, 1)]
    shards = [rank["shards"]["generator"]["state"][0]["exp_avg"] for rank in ranks]
    assert shards[0].numel() == shards[1].numel()
    assert not shards[0].equal(shards[1])


@pytest.mark.parametrize("stage", [1, 3])
def test_a_sharded_checkpoint_is_refused_under_another_stage_way_or_number_of_ranks(
    make_recipe, tmp_path, train_silently, stage
):
    table = allowed(TABLE, ZERO[stage])
    recipe = make_recipe(**table)
    session(recipe, tmp_path, ZERO[stage])
    for environment, now in ((ZERO[2], "ZeRO 2 over 2 ranks"), (DDP, "whole")):
        refusal = session(recipe, tmp_path, environment, is_refused=True)
        assert f"saved as 'ZeRO {stage} over 2 ranks'" in refusal
        assert f"'{now}'" in refusal
    with pytest.raises(CheckpointError, match=f"ZeRO {stage} over 2 ranks"):  # one process
        train_silently(recipe)
    assert run_session(make_recipe(**table, name="onward"), init_from=recipe.folder) == 0


def test_what_zero_0_saved_goes_on_under_ddp_and_in_one_process(make_recipe, tmp_path, train_silently):
    recipe = make_recipe(**TABLE)
    session(recipe, tmp_path, ZERO[0])
    forget_after(recipe.folder, 6)
    session(recipe, tmp_path, DDP)
    forget_after(recipe.folder, 6)
    assert train_silently(recipe) == 0


@pytest.mark.parametrize("stage", [2, 3])
def test_weights_taken_over_by_a_sharded_run_are_not_undone_by_its_own_copy(
    make_recipe, tmp_path, train_silently, stage
):
    table = allowed(TABLE, ZERO[stage])
    source = make_recipe(**table, name="source")
    train_silently(source)
    still = {"optimizer": {role: {"name": "sgd", "lr": 1e-12} for role in ("generator", "discriminator")}}
    recipe = make_recipe(**{**table, **still}, name="taken")
    session(recipe, tmp_path, ZERO[stage], init_from=str(source.folder))
    before, after = (
        Checkpoint(whole_checkpoints(folder / "checkpoints")[-1]).tensors("generator")
        for folder in (source.folder, recipe.folder)
    )
    weights = [key for key in before if "running" not in key and "num_batches" not in key]
    assert all((before[key] - after[key]).abs().max() < 1e-8 for key in weights)


@pytest.mark.parametrize("stage", [2, 3])
def test_a_rollback_takes_sharded_optimizers_back_too(make_recipe, tmp_path, stage):
    recipe = recipe_that_breaks(make_recipe, 1)
    session(recipe, tmp_path, ZERO[stage], prepare=break_in_this_process)
    newest = Checkpoint(whole_checkpoints(recipe.folder / "checkpoints")[-1])
    assert newest.state["rollbacks"] == 1
    assert newest.state["step"] == 8
    rank: Any = newest.rank(1)
    steps = {float(state["step"]) for state in rank["shards"]["generator"]["state"].values()}
    assert steps == {8.0}
    assert all(tensor.isfinite().all() for tensor in newest.tensors("generator").values())


class SteepAtZero(Penalty):
    """Zero, but in one step its slope is none."""

    player = "generator"
    sees_real = False

    def __call__(self, turn):
        nothing = turn.fake.mean() * 0.0
        return nothing.square().sqrt() if turn.step == 4 else nothing


def register_steep() -> None:
    register.penalty("test-steep")(SteepAtZero)


def _diverge(path: str, found: str) -> None:
    with pytest.raises(DivergenceError) as error:
        run_session(load(path))
    Path(f"{found}.{os.environ['RANK']}").write_text(str(error.value))


def test_a_gradient_that_is_not_finite_is_no_step_left_out_in_silence(make_recipe, tmp_path, monkeypatch):
    """DeepSpeed's stage 3 would go on as if nothing had been, with losses that are all finite."""
    register.penalty.names()  # the built-ins stay where they are
    monkeypatch.setattr(register.penalty, "_components", dict(register.penalty._components))
    register_steep()
    recipe, path = make_recipe(penalties=["test-steep"], checkpoint={"every": 2}), tmp_path / "recipe.toml"
    path.write_text(dump(recipe))
    launch_two(_diverge, (str(path), str(tmp_path / "found")), ZERO[3], register_steep)
    for rank in (0, 1):
        assert "a gradient is no longer finite" in (tmp_path / f"found.{rank}").read_text()
    assert whole_checkpoints(recipe.folder / "checkpoints")[-1].name == "step-00000004"
