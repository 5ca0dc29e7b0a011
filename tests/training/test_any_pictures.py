"""From a folder of pictures of an odd size, with alpha or in 16 bits, to a grid of samples."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from ganforge.data.pictures import values_in
from ganforge.models.dcgan import DCGANDiscriminator, DCGANGenerator
from ganforge.saved.generator_file import read_config
from ganforge.spec import DataSpec

Command = Callable[..., Any]
RECIPE = """
name = "odd"
output = "runs"

[data]
name = "shards"
path = "packed"
flip = true

[generator]
name = "dcgan"
width = 8
latent_dim = 8

[discriminator]
name = "dcgan"
width = 8
norm = "none"

[training]
steps = 2
batch_size = 4

[samples]
num = 4
"""
RNG = np.random.default_rng(0)


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("pictures").mkdir()
    Path("odd.toml").write_text(RECIPE)


def test_a_dry_run_counts_the_parameters_of_an_odd_size(ganforge: Command) -> None:
    np.save("x.npy", RNG.integers(0, 256, (8, 36, 60, 3), dtype=np.uint8))
    assert ganforge("data", "pack", "x.npy", "packed").code == 0
    done = ganforge("train", "odd.toml", "--dry-run")
    assert done.code == 0, done.err
    spec = DataSpec((3, 36, 60))
    for network in (DCGANGenerator(spec, width=8, latent_dim=8), DCGANDiscriminator(spec, width=8, norm="none")):
        assert f"{sum(weight.numel() for weight in network.parameters()):,}" in done.out
    for shape in ("x 3 x 4", "x 5 x 8", "x 9 x 15", "x 18 x 30", "3 x 36 x 60"):
        assert shape in done.out


def test_pictures_some_with_alpha_become_samples_with_alpha(ganforge: Command) -> None:
    for number in range(12):
        pixels = RNG.integers(0, 256, (48, 80, 3 if number % 3 else 4), dtype=np.uint8)
        Image.fromarray(pixels).save(f"pictures/{number:02d}.png")
    assert ganforge("data", "pack", "pictures", "packed", "--channels", 4).code == 0
    done = ganforge("train", "odd.toml")
    assert done.code == 0, done.err
    with Image.open("runs/odd/samples/step-00000002.png") as grid:
        assert grid.mode == "RGB"
    assert ganforge("sample", "runs/odd", "--n", 2, "--out", "samples/").code == 0
    with Image.open("samples/000001.png") as sample:
        assert (sample.mode, sample.size) == ("RGBA", (80, 48))


def test_grey_of_16_bits_goes_in_and_comes_out(ganforge: Command) -> None:
    deep = RNG.integers(0, 65_536, (12, 28, 20), dtype=np.uint16)
    for number, values in enumerate(deep):
        Image.fromarray(values).save(f"pictures/{number:02d}.png")
    assert ganforge("data", "pack", "pictures", "packed").code == 0
    done = ganforge("train", "odd.toml")
    assert done.code == 0, done.err
    assert read_config(Path("runs/odd/generator.last.safetensors")).spec.dtype == "uint16"
    assert ganforge("sample", "runs/odd", "--n", 2, "--out", "samples/").code == 0
    sample = values_in(Path("samples/000001.png").read_bytes())
    assert (sample.dtype, sample.shape) == (np.uint16, (28, 20))
    assert ganforge("data", "export", "packed", "back").code == 0
    assert np.array_equal([values_in(path.read_bytes()) for path in sorted(Path("back").iterdir())], deep)
