"""Weights that a new run begins with: whose they may be, and what of them fits."""

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file

from ganforge.errors import CheckpointError
from ganforge.saved.checkpoint import Checkpoint, whole_checkpoints
from ganforge.training.session import run_session

STILL = {"optimizer": {role: {"name": "sgd", "lr": 1e-30} for role in ("generator", "discriminator")}}
PICTURES = {
    "data": {"name": "digits", "size": 16},
    "generator": {"name": "dcgan", "width": 4, "latent_dim": 8},
    "discriminator": {"name": "dcgan", "width": 4},
    "training": {"steps": 1, "batch_size": 8},
}


def networks_of(recipe) -> dict[str, dict[str, torch.Tensor]]:
    checkpoint = Checkpoint(whole_checkpoints(recipe.folder / "checkpoints")[-1])
    return {name: checkpoint.tensors(name) for name in ("generator", "discriminator", "averaged")}


def equal(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> bool:
    return all(torch.allclose(tensor, other[name], rtol=0, atol=1e-20) for name, tensor in one.items())


def test_a_generator_file_gives_the_generator_and_the_discriminator_starts_fresh(make_recipe, train_silently, capsys):
    first = make_recipe(name="first")
    train_silently(first)
    file = first.folder / "generator.last.safetensors"
    second = make_recipe(name="second", training={"steps": 1}, **STILL)
    assert run_session(second, init_from=file) == 0
    out = capsys.readouterr().out
    assert f"weights from {file}" in out
    assert "the discriminator starts fresh: there is none there" in out
    assert equal(networks_of(second)["generator"], load_file(file))
    assert not equal(networks_of(second)["discriminator"], networks_of(first)["discriminator"])


def test_a_run_that_kept_only_its_generator_and_a_checkpoint_by_itself_will_do(make_recipe, train_silently, tmp_path):
    first = make_recipe(name="first", checkpoint={"every": 2, "keep_last": 9})
    train_silently(first)
    older = whole_checkpoints(first.folder / "checkpoints")[0]
    second = make_recipe(name="second", training={"steps": 1}, **STILL)
    assert run_session(second, init_from=older) == 0
    assert equal(networks_of(second)["discriminator"], Checkpoint(older).tensors("discriminator"))
    (first.folder / "checkpoints").rename(tmp_path / "gone")
    third = make_recipe(name="third", training={"steps": 1}, **STILL)
    assert run_session(third, init_from=first.folder) == 0
    assert equal(networks_of(third)["averaged"], load_file(first.folder / "generator.last.safetensors"))


def test_what_does_not_fit_is_counted_and_named_with_both_shapes_and_a_remedy(make_recipe, train_silently):
    first = make_recipe(name="first")
    train_silently(first)
    with pytest.raises(CheckpointError) as error:
        run_session(make_recipe(name="wider", discriminator={"width": 32}), init_from=first.folder)
    said = str(error.value)
    assert "the discriminator does not fit the recipe's: " in said
    assert "16x2 there, 32x2 here" in said
    assert "`init_what_fits=True` takes what does" in said
    assert "the generator" not in said
    assert len(said.splitlines()) == 1


def test_another_number_of_classes_keeps_all_but_what_knows_the_classes(
    make_recipe, train_silently, tmp_path, ganforge, capsys
):
    def recipe(name: str, classes: int):
        for label in range(classes):
            folder = tmp_path / name / str(label)
            folder.mkdir(parents=True)
            Image.fromarray(np.full((16, 16, 3), 40 * label, np.uint8)).save(folder / "0.png")
        assert ganforge("data", "pack", tmp_path / name, tmp_path / f"{name}-packed").code == 0
        conditional = {
            "data": {"name": "shards", "path": str(tmp_path / f"{name}-packed")},
            "generator": {**PICTURES["generator"], "conditional": "embedding"},
            "discriminator": {**PICTURES["discriminator"], "conditional": "projection"},
        }
        return make_recipe(name=name, **{**PICTURES, **conditional, **STILL, "training": {"steps": 1, "batch_size": 2}})

    five, three = recipe("five", 5), recipe("three", 3)
    train_silently(five)
    with pytest.raises(CheckpointError, match=r"5x\d+ there, 3x\d+ here"):
        run_session(three, init_from=five.folder)
    capsys.readouterr()
    assert run_session(three, init_from=five.folder, init_what_fits=True) == 0
    out = capsys.readouterr().out
    before, after = networks_of(five), networks_of(three)
    for role in ("generator", "discriminator"):
        other = {key for key, tensor in before[role].items() if after[role][key].shape != tensor.shape}
        assert len(other) == 1
        weights = {key for key in before[role].keys() - other if "running" not in key and "num_batches" not in key}
        assert equal({key: before[role][key] for key in weights}, after[role])
        assert f"  the {role}: {len(before[role]) - 1} of {len(before[role])} tensors taken; left out: " in out


def test_with_what_fits_the_rest_is_listed_and_starts_fresh(make_recipe, train_silently, capsys):
    first = make_recipe(name="first")
    train_silently(first)
    second = make_recipe(
        name="second",
        discriminator={"width": 16, "depth": 5},
        generator={"latent_dim": 9},
        training={"steps": 1},
        **STILL,
    )
    capsys.readouterr()
    assert run_session(second, init_from=first.folder, init_what_fits=True) == 0
    out = capsys.readouterr().out
    before, after = networks_of(first), networks_of(second)
    other = {key for key, tensor in before["generator"].items() if after["generator"][key].shape != tensor.shape}
    assert len(other) == 1
    kept = {key: tensor for key, tensor in before["generator"].items() if key not in other}
    assert equal(kept, after["generator"])
    for role in ("generator", "averaged"):
        (line,) = [line for line in out.splitlines() if line.startswith(f"  the {role}: ")]
        assert f"{len(before[role]) - 1} of {len(before[role])} tensors taken; left out: " in line
        assert f"{next(iter(other))} (16x8 there, 16x9 here)" in line
    assert "  the discriminator: " in out
    assert "(not there)" in out


def test_where_nothing_fits_that_is_said(make_recipe, train_silently):
    first = make_recipe(name="first")
    train_silently(first)
    second = make_recipe(name="second", **PICTURES)
    with pytest.raises(CheckpointError, match="nothing of it fits"):
        run_session(second, init_from=first.folder, init_what_fits=True)


def test_a_pickle_is_refused_with_what_makes_a_folder_of_it(make_recipe, tmp_path):
    (tmp_path / "network.pkl").write_bytes(b"")
    with pytest.raises(CheckpointError, match=r"opening a pickle runs what is in it; `ganforge import"):
        run_session(make_recipe(), init_from=tmp_path / "network.pkl")
    assert not make_recipe().folder.joinpath("metrics.jsonl").exists()


def test_the_options_need_each_other(ganforge, tmp_path):
    (tmp_path / "recipe.toml").write_text("")
    done = ganforge("train", tmp_path / "recipe.toml", "--init-what-fits")
    assert (done.code, done.err.count("--init-from")) == (2, 1)
    done = ganforge("train", tmp_path / "recipe.toml", "--restart", "--resume", "must")
    assert (done.code, "leave one out" in done.err) == (2, True)
