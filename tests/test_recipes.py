"""Every recipe of the repository resolves, and trains ten steps on stand-in shards of its own kind."""

import json
from pathlib import Path

import numpy as np
import pytest
import pythons
from PIL import Image

from ganforge.data.pack import pack
from ganforge.data.plan import PackOptions
from ganforge.data.sources.folder import FolderSource
from ganforge.recipe import dump, load, resolve

RECIPES = sorted((Path(__file__).parents[1] / "recipes").glob("*.toml"))
STAND_INS = {
    "celeba64": (64, 3), "celeba64-lsgan": (64, 3), "celeba64-r3gan": (64, 3), "ffhq64-r3gan": (64, 3),
    "ffhq256-stylegan2": (256, 3), "cifar32": (32, 3), "cifar32-sngan": (32, 3), "mnist28": (28, 1),
    "imagenet128-biggan": (128, 3), "imagenet64-sagan": (64, 3),
    "facades256-pix2pix": (256, 3), "horse2zebra256-cyclegan": (256, 3),
}  # fmt: skip
"""Size and channels of the pictures that a recipe with downloaded data expects."""
PLACES = {
    "facades256-pix2pix": ("data.target", "data.source", "evaluation.data.target", "evaluation.data.source"),
    "horse2zebra256-cyclegan": ("data.path", "domain.path"),
}
"""Where a recipe of pictures into pictures names its data; others name one path."""
NARROW = {
    **{name: {"width": width} for name, width in (
        ("facades256-pix2pix", 4), ("horse2zebra256-cyclegan", 4),
        ("celeba64-lsgan", 16), ("celeba64-r3gan", 32), ("ffhq64-r3gan", 32), ("cifar32-sngan", 16),
        ("imagenet128-biggan", 4), ("imagenet64-sagan", 8),
    )},
    "ffhq256-stylegan2": {"channel_max": 4},
}  # fmt: skip
"""Options with which networks that are made for GPUs take ten steps in seconds."""

BY_NAME = [pytest.param(path, id=path.stem) for path in RECIPES]


@pytest.mark.parametrize("path", BY_NAME)
def test_a_recipe_resolves_and_its_dump_is_the_same_recipe(path):
    recipe = load(path)
    assert recipe.name == path.stem
    import tomllib

    assert resolve(tomllib.loads(dump(recipe))) == recipe


@pytest.mark.parametrize("path", BY_NAME)
def test_a_recipes_header_says_what_it_is_and_how_to_get_its_data(path):
    header = [line for line in path.read_text().splitlines() if line.startswith("#")]
    assert len(header) >= 3
    if path.stem in STAND_INS:
        assert any("ganforge data pack" in line for line in header)


def test_cifar32_sngan_is_as_long_as_the_authors_configuration_and_says_where_it_differs():
    """Their configs/sn_cifar10_unconditional.yml: 50,000 iterations, the learning rates falling to 0 in all of them."""
    path = next(path for path in RECIPES if path.stem == "cifar32-sngan")
    recipe = load(path)
    assert recipe.training.steps == 50_000
    assert {table.decay for table in (recipe.optimizer.generator, recipe.optimizer.discriminator)} == {"linear"}
    header = path.read_text().split("name =")[0]
    assert all(words in header for words in ("batches of 128", "G before D", "1/128"))


def pack_noise(folder: Path, size: int, channels: int) -> Path:
    pictures = folder / "pictures"
    for label in "ab":
        (pictures / label).mkdir(parents=True)
    random = np.random.default_rng(0)
    for index in range(40):
        pixels = random.integers(0, 256, (size, size, channels), dtype=np.uint8)
        picture = Image.fromarray(pixels if channels == 3 else pixels[..., 0])
        picture.save(pictures / "ab"[index % 2] / f"{index:03d}.png")
    out = folder / "shards"
    pack(FolderSource(pictures), out, PackOptions(size=(size, size), workers=1))
    return out


@pytest.mark.slow
@pytest.mark.parametrize("path", BY_NAME)
def test_a_recipe_trains_ten_steps_on_stand_in_shards(path, tmp_path):
    count = 40 if path.stem in PLACES else 100  # all of the stand-ins, where fakes have targets
    overrides = [
        f"output={tmp_path}", "training.steps=10", "training.batch_size=8", "training.log_every=5",
        "samples.num=4", f"evaluation.num_fakes={count}", f"evaluation.num_reals={count}",
    ]  # fmt: skip
    if path.stem in STAND_INS:
        shards = pack_noise(tmp_path, *STAND_INS[path.stem])
        overrides += [f"{place}={shards}" for place in PLACES.get(path.stem, ("data.path",))]
    if path.stem in NARROW:
        for player in ("generator", "discriminator"):
            overrides += [f"{player}.{option}={value}" for option, value in NARROW[path.stem].items()]
    arguments = [word for override in overrides for word in ("--set", override)]
    done = pythons.run("-m", "ganforge", "train", path, *arguments)
    assert done.returncode == 0, done.stderr
    lines = [json.loads(line) for line in (tmp_path / path.stem / "metrics.jsonl").read_text().splitlines()]
    assert [line["step"] for line in lines if "generator/loss" in line] == [5, 10]
    assert (tmp_path / path.stem / "generator.last.safetensors").exists()
