"""Environment variables in the paths of recipes."""

from typing import Any

import pytest

from ganforge.building.parts import build_dataset
from ganforge.errors import RecipeError
from ganforge.recipe import Recipe, dump, load, load_saved, resolve
from ganforge.saved.checkpoint import Checkpoint
from ganforge.training.saving.resume import check_same_run


def table(**data: str) -> dict:
    return {
        "name": "v", "generator": "mlp", "discriminator": "mlp",
        "data": {"name": "ring", **data}, "training": {"steps": 4},
    }  # fmt: skip


def shards(path: str) -> Recipe:
    return resolve({**table(), "data": {"name": "shards", "path": path}})


def test_paths_are_filled_in_and_listed_as_they_were_written(monkeypatch, tmp_path) -> None:
    monkeypatch.setenv("SLURM_TMPDIR", "/scratch/17")
    recipe = resolve({**table(cache_dir="${SLURM_TMPDIR}/cache"), "output": "$SLURM_TMPDIR/runs"})
    assert str(recipe.cache_dir) == "/scratch/17/cache"
    assert str(recipe.folder) == "/scratch/17/runs/v"
    assert recipe.variables == {"data.cache_dir": "${SLURM_TMPDIR}/cache", "output": "$SLURM_TMPDIR/runs"}
    (tmp_path / "resolved.toml").write_text(dump(recipe))
    assert load(tmp_path / "resolved.toml") == recipe
    assert "/scratch/17" not in dump(recipe), "what a variable holds may be secret"


def test_a_variable_that_is_not_set_is_named_with_its_key(monkeypatch) -> None:
    monkeypatch.delenv("SLURM_TMPDIR", raising=False)
    with pytest.raises(RecipeError, match=r"data\.cache_dir: the environment variable SLURM_TMPDIR is not set"):
        resolve(table(cache_dir="$SLURM_TMPDIR"))


def test_a_job_s_variables_may_be_missing_where_it_is_submitted_but_not_for_its_run_folder(monkeypatch) -> None:
    monkeypatch.delenv("SLURM_TMPDIR", raising=False)
    recipe = resolve(table(cache_dir="$SLURM_TMPDIR"), later=True)
    assert recipe.data.cache_dir == "$SLURM_TMPDIR"
    with pytest.raises(RecipeError, match="output: the environment variable SLURM_TMPDIR"):
        resolve({**table(), "output": "$SLURM_TMPDIR"}, later=True)


def test_other_keys_and_recipes_without_variables_stay_as_they_are(monkeypatch) -> None:
    monkeypatch.setenv("WHO", "somebody")
    recipe = resolve({**table(), "tracking": {"wandb": {"project": "$WHO"}}})
    assert recipe.tracking.wandb is not None
    assert recipe.tracking.wandb.project == "$WHO"
    assert recipe.variables is None
    assert "variables" not in dump(recipe)


def test_the_same_variable_in_another_job_is_the_same_run_and_another_path_is_not(monkeypatch, tmp_path) -> None:
    (tmp_path / "checkpoint.json").write_text("{}")
    monkeypatch.setenv("DISK", "/scratch/17")
    (tmp_path / "recipe.resolved.toml").write_text(dump(shards("$DISK/faces")))
    checkpoint = Checkpoint(tmp_path)
    monkeypatch.setenv("DISK", "/scratch/18")
    assert check_same_run(shards("$DISK/faces"), checkpoint, False) == []
    with pytest.raises(RecipeError, match=r"data\.path"):
        check_same_run(shards("/scratch/18/faces"), checkpoint, False)
    with pytest.raises(RecipeError, match=r"data\.path"):
        check_same_run(shards("$DISK/cats"), checkpoint, False)


def test_a_saved_recipe_is_read_where_its_job_is_over(monkeypatch, tmp_path) -> None:
    """Its scratch folder is gone, or another: what is left to do with the run must not ask for it."""
    monkeypatch.setenv("SLURM_TMPDIR", "/scratch/17")
    monkeypatch.setenv("DATA", "/data")
    recipe = resolve({**table(), "data": {"name": "shards", "path": "$DATA/mine", "cache_dir": "$SLURM_TMPDIR/cache"}})
    path = tmp_path / "resolved.toml"
    path.write_text(dump(recipe))
    monkeypatch.setenv("SLURM_TMPDIR", "/scratch/18")
    assert str(load_saved(path).cache_dir) == "/scratch/18/cache"
    monkeypatch.delenv("SLURM_TMPDIR")
    monkeypatch.delenv("DATA")
    saved: Any = load_saved(path)
    assert saved.data.cache_dir is None
    with pytest.raises(RecipeError, match=r"data\.path: the environment variable DATA is not set"):
        build_dataset(saved)


def test_paths_of_held_out_data_are_filled_in_too(monkeypatch) -> None:
    monkeypatch.setenv("DATA", "/data")
    recipe: Any = resolve({**table(), "health": {"held_out": {"name": "shards", "path": "$DATA/unseen"}}})
    assert recipe.health.held_out.path == "/data/unseen"
