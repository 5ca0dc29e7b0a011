"""Checkpoints that are not what was written: passed over by name, and never the reason for another result."""

import json
import os
import shutil
import sys
from pathlib import Path

import pytest
import torch
from resealed import as_format_1, reseal
from safetensors.torch import load_file, save_file
from same_run import assert_same_run
from soak.damaged_checkpoints import attack, prepare
from two_processes import launch_two

from ganforge.errors import CheckpointError, DamagedCheckpointError
from ganforge.evaluation.saved import evaluate_saved
from ganforge.recipe import Recipe, dump, load
from ganforge.sampling.draw import open_generator
from ganforge.saved.checkpoint import Checkpoint, whole_checkpoints
from ganforge.saved.generator_file import load_generator
from ganforge.saved.hashing import sha256_of
from ganforge.saved.newest import newest_checkpoint
from ganforge.training.session import run_session

OFTEN = {"checkpoint": {"every": 2, "keep_last": 9}}


@pytest.fixture(scope="module")
def undamaged(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    return prepare(tmp_path_factory.mktemp("undamaged"))


@pytest.mark.parametrize("case", [*range(3, 40, 4), 0, 1, 2, 4, 5, 6, 8, 9, 10, 12, 19, 29])
def test_a_damaged_run_ends_as_the_undamaged_one_and_names_what_it_passed_over(undamaged, tmp_path, case):
    """A share of the fuzzer's 150."""
    folder, log = undamaged
    attack(folder, log, tmp_path, case, seed=0)


def test_a_checkpoint_keeps_sha256_of_each_file_and_of_itself(make_recipe, train_silently):
    recipe = make_recipe()
    train_silently(recipe)
    (path,) = whole_checkpoints(recipe.folder / "checkpoints")
    state = json.loads((path / "checkpoint.json").read_text())
    others = {file.name for file in path.iterdir()} - {"checkpoint.json"}
    assert state["sha256"] == {name: sha256_of(path / name) for name in others}
    assert state["format"] == 2
    (path / "checkpoint.json").write_text(json.dumps({**state, "rollbacks": 1}))
    with pytest.raises(DamagedCheckpointError, match=r"checkpoint\.json is damaged: it is not what was written"):
        Checkpoint(path)


def flip(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)


def test_every_way_of_opening_a_checkpoint_notices_a_flipped_bit(make_recipe, train_silently):
    recipe = make_recipe(evaluation={"metrics": ["modes"], "num_fakes": 50})
    train_silently(recipe)
    (path,) = whole_checkpoints(recipe.folder / "checkpoints")
    for name in ("averaged", "generator", "discriminator"):
        flip(path / f"{name}.safetensors")
    for use in (
        lambda: load_generator(path),
        lambda: evaluate_saved(path),
        lambda: open_generator(path, averaged=False),
        lambda: newest_checkpoint(recipe.folder),
        lambda: run_session(make_recipe(name="other"), init_from=recipe.folder),
    ):
        with pytest.raises(CheckpointError, match=r"\.safetensors is damaged: it is not what was written"):
            use()


def test_raw_samples_come_from_the_newest_checkpoint_that_can_be_used(make_recipe, train_silently, caplog):
    recipe = make_recipe(**OFTEN)
    train_silently(recipe)
    older, newest = whole_checkpoints(recipe.folder / "checkpoints")[-2:]
    flip(newest / "generator.safetensors")
    made = open_generator(recipe.folder, averaged=False, device="cpu").state_dict()
    assert all(torch.equal(made[key], tensor) for key, tensor in Checkpoint(older).tensors("generator").items())
    assert f"passed over {newest}: generator.safetensors is damaged" in caplog.text


def test_a_checkpoint_of_format_1_is_gone_on_with_bit_for_bit(make_recipe, train_silently):
    for name in ("old", "new"):
        train_silently(make_recipe(name=name))
    old = make_recipe(name="old", training={"steps": 9})
    for path in whole_checkpoints(old.folder / "checkpoints"):
        as_format_1(path)
    for name in ("old", "new"):
        train_silently(make_recipe(name=name, training={"steps": 9}))
    assert_same_run(make_recipe(name="new").folder, old.folder)


def test_a_newer_format_is_refused_by_name_and_kept(make_recipe, train_silently, capsys):
    recipe = make_recipe(**OFTEN)
    train_silently(recipe)
    newest = whole_checkpoints(recipe.folder / "checkpoints")[-1]
    reseal(newest, format=99)
    assert train_silently(recipe) == 0
    out = " ".join(capsys.readouterr().out.split())
    assert "passed over step-00000006: checkpoint.json has format 99, and ganforge" in out
    assert "it is now damaged-step-00000006" in out
    assert json.loads((newest.with_name(f"damaged-{newest.name}") / "checkpoint.json").read_text())["format"] == 99


def test_a_checkpoint_written_after_a_damaged_one_was_passed_over_is_not_pruned_for_it(make_recipe, train_silently):
    """The damaged one is of a later step, and `keep_last` counts steps."""
    recipe = make_recipe(checkpoint={"every": 3, "keep_last": 2})
    train_silently(recipe)
    flip(recipe.folder / "checkpoints" / "step-00000006" / "generator.safetensors")
    assert train_silently(make_recipe(checkpoint={"every": 4, "keep_last": 1}, training={"steps": 4})) == 0
    assert [path.name for path in whole_checkpoints(recipe.folder / "checkpoints")] == ["step-00000004"]
    assert Checkpoint(recipe.folder / "checkpoints" / "step-00000004").state["step"] == 4


def spoil(path: Path, value: float, name: str = "generator") -> None:
    """Weights that are no numbers, in a checkpoint that is whole."""
    tensors = load_file(path / f"{name}.safetensors")
    next(iter(tensors.values())).view(-1)[0] = value
    save_file(tensors, path / f"{name}.safetensors")
    reseal(path)


@pytest.mark.parametrize(("value", "name"), [(float("nan"), "discriminator"), (float("inf"), "averaged")])
def test_a_checkpoint_with_weights_that_are_not_finite_is_passed_over(make_recipe, train_silently, capsys, value, name):
    recipe = make_recipe(**OFTEN)
    train_silently(recipe)
    spoil(whole_checkpoints(recipe.folder / "checkpoints")[-1], value, name)
    assert train_silently(recipe) == 0
    out = capsys.readouterr().out
    assert "step-00000004 at step 4" in out
    assert f"passed over step-00000006: the {name}'s weights are not finite" in out


def test_checkpoints_behind_links_are_used_replaced_and_pruned(make_recipe, train_silently, tmp_path):
    recipe = make_recipe(checkpoint={"every": 2, "keep_last": 2})
    train_silently(recipe)
    checkpoints, elsewhere = recipe.folder / "checkpoints", tmp_path / "elsewhere"
    elsewhere.mkdir()
    for path in whole_checkpoints(checkpoints):
        shutil.move(path, elsewhere / path.name)
        path.symlink_to(elsewhere / path.name)
    longer = make_recipe(checkpoint={"every": 2, "keep_last": 2}, training={"steps": 10})
    assert train_silently(longer) == 0
    assert [path.name for path in whole_checkpoints(checkpoints)] == ["step-00000008", "step-00000010"]
    assert not any(path.is_symlink() for path in checkpoints.iterdir())
    assert len([*elsewhere.iterdir()]) == 2


def test_what_a_kill_left_half_replaced_is_put_back(make_recipe, train_silently, capsys):
    recipe = make_recipe(**OFTEN)
    train_silently(recipe)
    checkpoints = recipe.folder / "checkpoints"
    os.rename(checkpoints / "step-00000006", checkpoints / ".step-00000006.old")
    (checkpoints / ".step-00000006.tmp").mkdir()
    assert train_silently(recipe) == 0
    assert "step-00000006 at step 6" in capsys.readouterr().out
    assert not [*checkpoints.glob(".step-*")]


def session(path: str, damaged: str, out: str) -> None:
    """In each process: go on, while rank 1 reads other bytes in one file than rank 0."""
    if os.environ["RANK"] == "1":
        from ganforge.saved import checkpoint

        honest = checkpoint.sha256_of
        checkpoint.sha256_of = lambda file: "0" * 64 if str(file) == damaged else honest(file)
    with open(f"{out}/said{os.environ['RANK']}", "w") as said:
        sys.stdout = said
        assert run_session(load(path)) == 0
        sys.stdout = sys.__stdout__


def both(recipe: Recipe, tmp_path: Path, damaged: str = "") -> str:
    path = tmp_path / "recipe.toml"
    path.write_text(dump(recipe))
    launch_two(session, (str(path), damaged, str(tmp_path)))
    return (tmp_path / "said0").read_text()


def test_what_one_rank_finds_damaged_all_ranks_pass_over(make_recipe, tmp_path):
    recipe = make_recipe(**OFTEN)
    both(recipe, tmp_path)
    damaged = recipe.folder / "checkpoints" / "step-00000006" / "training.pt"
    said = both(recipe, tmp_path, str(damaged))
    assert "step-00000004 at step 4" in said
    assert "passed over step-00000006: training.pt is damaged" in said
    assert "seen by rank 1 on" in said
    assert [path.name for path in whole_checkpoints(recipe.folder / "checkpoints")][-1] == "step-00000006"
