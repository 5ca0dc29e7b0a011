"""Samples are written with the alpha and in the depth of the data that the generator has learned from."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from ganforge.data.depth import stored_values
from ganforge.data.pictures import values_in
from ganforge.data.shards.registered import open_folder
from ganforge.sampling import Sampler, open_generator
from ganforge.saved.generator_config import GeneratorConfig
from ganforge.saved.generator_file import build_generator, flat_state, read_config, save_generator
from ganforge.spec import DataSpec

Command = Callable[..., Any]
SPECS = {
    "grey of 16 bits": (DataSpec((1, 12, 20), dtype="uint16"), "png"),
    "grey of 12 bits": (DataSpec((1, 12, 20), dtype="uint16", values=(0, 4095)), "png"),
    "RGB of 16 bits": (DataSpec((3, 12, 20), dtype="uint16"), "png"),
    "Hounsfield units": (DataSpec((1, 12, 20), dtype="float32", values=(-1000, 400)), "tiff"),
    "spectral": (DataSpec((6, 12, 20), dtype="float32"), "npy"),
    "RGBA": (DataSpec((4, 12, 20), has_alpha=True), "png"),
    "four channels": (DataSpec((4, 12, 20)), "npy"),
}


@pytest.fixture(params=SPECS)
def kind(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture
def generator(kind: str, tmp_path: Path) -> Path:
    config = GeneratorConfig({"name": "dcgan", "width": 8, "latent_dim": 8, "init_std": 0.2}, SPECS[kind][0])
    torch.manual_seed(0)
    path = tmp_path / "g.safetensors"
    save_generator(path, flat_state(build_generator(config)), config)
    return path


def test_single_samples_have_the_values_of_the_data(
    kind: str, generator: Path, tmp_path: Path, ganforge: Command
) -> None:
    spec, extension = SPECS[kind]
    assert read_config(generator).spec == spec
    done = ganforge("sample", generator, "--n", 3, "--out", f"{tmp_path / 'out'}/")
    assert done.code == 0, done.err
    files = sorted((tmp_path / "out").iterdir())
    assert [path.name for path in files] == [f"00000{number}.{extension}" for number in range(3)]
    samples = Sampler(open_generator(generator)).many(3)
    expected = stored_values(samples, spec)
    assert expected.min() >= spec.limits[0]
    assert expected.max() <= spec.limits[1]
    read = [np.load(path) if extension == "npy" else values_in(path.read_bytes(), with_alpha=True) for path in files]
    assert np.array_equal(np.reshape(read, expected.shape), expected)
    assert read[0].dtype == spec.dtype
    assert len(np.unique(expected)) > (100 if spec.dtype == "uint8" else 256)


def test_shards_of_samples_are_data_of_the_same_kind(
    kind: str, generator: Path, tmp_path: Path, ganforge: Command
) -> None:
    spec, _ = SPECS[kind]
    done = ganforge("sample", generator, "--n", 5, "--shards", "--out", tmp_path / "shards")
    assert done.code == 0, done.err
    dataset = open_folder(tmp_path / "shards")
    assert (dataset.spec.shape, dataset.spec.dtype, dataset.spec.limits) == (spec.shape, spec.dtype, spec.limits)
    assert dataset.spec.has_alpha == spec.has_alpha
    rows = np.empty((5, *dataset.row_shape), dataset.dtype)
    assert not dataset.read(np.arange(5), rows)
    assert np.array_equal(rows, stored_values(Sampler(open_generator(generator)).many(5), spec))


def test_grids_and_films_are_for_people(kind: str, generator: Path, tmp_path: Path, ganforge: Command) -> None:
    for command, out in (("sample", "grid.png"), ("interpolate", "strip.png"), ("interpolate", "walk.gif")):
        done = ganforge(command, generator, "--out", tmp_path / out, *(("--n", 4) if command == "sample" else ()))
        assert done.code == 0, done.err
        assert Image.open(tmp_path / out).mode in ("L", "RGB", "P")
