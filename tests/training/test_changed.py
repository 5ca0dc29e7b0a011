"""What has changed since the checkpoint: data, batch size, and the end of the run."""

import json
import shutil
import tomllib
from typing import Any

import numpy as np
import pytest
import tomli_w
from PIL import Image
from resealed import as_format_1, reseal

from ganforge.errors import RecipeError
from ganforge.run_files import RECIPE
from ganforge.saved.checkpoint import Checkpoint, whole_checkpoints
from ganforge.training.saving.resume import ADDED, check_same_run


def newest(recipe) -> Checkpoint:
    return Checkpoint(whole_checkpoints(recipe.folder / "checkpoints")[-1])


def test_another_dataset_under_the_same_recipe_is_shown_and_refused_unless_allowed(
    make_recipe, train_silently, tmp_path, capsys, ganforge
):
    def packed(count: int) -> None:
        """A dataset of `count` pictures, in the place of an older one."""
        pictures = tmp_path / f"pictures{count}"
        pictures.mkdir()
        for number in range(count):
            Image.fromarray(np.full((16, 16, 3), number, np.uint8)).save(pictures / f"{number:03d}.png")
        shutil.rmtree(tmp_path / "packed", ignore_errors=True)
        assert ganforge("data", "pack", pictures, tmp_path / "packed").code == 0

    table = {
        "data": {"name": "shards", "path": str(tmp_path / "packed")},
        "generator": {"name": "dcgan", "width": 4, "latent_dim": 8},
        "discriminator": {"name": "dcgan", "width": 4},
        "training": {"steps": 2, "batch_size": 8},
    }
    packed(40)
    recipe = make_recipe(**table)
    train_silently(recipe)
    assert newest(recipe).state["dataset"]["samples"] == 40
    before = (recipe.folder / "recipe.resolved.toml").read_bytes()
    packed(50)
    longer = make_recipe(**{**table, "training": {"steps": 4, "batch_size": 8}})
    with pytest.raises(RecipeError) as error:
        train_silently(longer)
    assert "data: was 40 samples (digest " in str(error.value)
    assert "is now 50 samples (digest " in str(error.value)
    assert "allow_changed=True" in str(error.value)
    assert (recipe.folder / "recipe.resolved.toml").read_bytes() == before
    capsys.readouterr()
    assert train_silently(longer, allow_changed=True) == 0
    assert "changed: data: 40 samples (digest " in capsys.readouterr().out
    assert train_silently(longer) == 0  # which is its dataset now


def test_images_and_the_datas_position_are_carried_over_another_batch_size(make_recipe, train_silently):
    train_silently(make_recipe(training={"steps": 3, "batch_size": 16}))
    longer = make_recipe(training={"steps": 7, "batch_size": 4})
    assert train_silently(longer, allow_changed=True) == 0
    lines = [json.loads(line) for line in (longer.folder / "metrics.jsonl").read_text().splitlines()]
    assert [line["images"] for line in lines] == [16, 32, 48, 52, 56, 60, 64]
    state = newest(longer).state
    assert state["images"] == 64
    assert state["data"] == {"samples": 64}


def test_format_1_counted_batches_of_its_own_size(make_recipe, train_silently):
    recipe = make_recipe(training={"steps": 3, "batch_size": 16})
    train_silently(recipe)
    as_format_1(newest(recipe).path)
    assert newest(recipe).state["batches"] == 3
    assert "data" not in newest(recipe).state
    longer = make_recipe(training={"steps": 7, "batch_size": 4})
    assert train_silently(longer, allow_changed=True) == 0
    assert newest(longer).state["data"] == {"samples": 64}
    assert newest(longer).state["images"] == 64


@pytest.mark.parametrize(("decay", "was", "now"), [("linear", "0", "0.0001"), ("cosine", "0", "0.0001")])
def test_another_end_under_a_decay_says_where_the_learning_rate_goes(
    make_recipe, train_silently, capsys, decay, was, now
):
    optimizer = {
        "generator": {"name": "adam", "lr": 2e-4, "decay": decay},
        "discriminator": {"name": "adam", "lr": 2e-4},
    }
    train_silently(make_recipe(optimizer=optimizer, training={"steps": 4}))
    capsys.readouterr()
    assert train_silently(make_recipe(optimizer=optimizer, training={"steps": 8})) == 0
    out = capsys.readouterr().out
    wanted = (
        f"changed: the generator's learning rate: {was} -> {now}, since its {decay} decay ends at step 8 and not at 4"
    )
    assert wanted in out
    assert "the discriminator's learning rate" not in out


def test_a_recipe_that_lacks_the_options_of_today_is_the_same_run(make_recipe, train_silently):
    table = {
        "plugins": ["ganforge.testing.pictures"],
        "data": {"name": "testing_pictures", "size": 16, "channels": 1, "samples": 16},
        "generator": {"name": "resnet", "width": 2, "latent_dim": 4},
        "discriminator": {"name": "resnet", "width": 2},
        "training": {"steps": 1, "batch_size": 4},
    }
    train_silently(make_recipe(**table))
    longer = make_recipe(**{**table, "training": {"steps": 2, "batch_size": 4}})
    checkpoint = newest(longer)
    file = checkpoint.path / RECIPE
    tables = tomllib.loads(file.read_text())
    gone = [key for key in ADDED if drop(tables, key.split("."))]
    assert {"training.freeze", "generator.hierarchical", "generator.class_dim", "discriminator.wide"} <= set(gone)
    file.write_text(tomli_w.dumps(tables))
    reseal(checkpoint.path)
    assert check_same_run(longer, newest(longer), allow_changed=False) == ["training.steps: 1 -> 2"]
    assert train_silently(longer) == 0


def drop(tables: dict[str, Any], keys: list[str]) -> bool:
    """Remove an option; returns whether it was there."""
    for key in keys[:-1]:
        tables = tables.get(key, {})
    return tables.pop(keys[-1], None) is not None
