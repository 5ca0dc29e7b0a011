"""Alpha is kept straight from files through shards and readers, shown over a checkerboard, and written again."""

import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from conftest import encoded
from PIL import Image
from test_depth import read
from test_sources import packed, source

from ganforge.data.contactsheet import displayed
from ganforge.data.foreign import ReadOptions
from ganforge.data.loader import Loader
from ganforge.data.pictures import Fit, open_picture, to_pixels
from ganforge.data.samples import real_samples
from ganforge.data.shards.registered import open_folder, open_shards
from ganforge.data.valuefile import png16
from ganforge.grid import checkerboard, picture_of
from ganforge.metrics.rgb import check_pictures, to_rgb_bytes
from ganforge.spec import DataSpec

Command = Callable[..., Any]
RNG = np.random.default_rng(0)
RGBA = RNG.integers(0, 256, (5, 12, 20, 4), dtype=np.uint8)
RGBA[0, 0, :2, 3] = 0, 255


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Five pictures with alpha, one without."""
    (tmp_path / "in").mkdir()
    for number, pixels in enumerate(RGBA):
        Image.fromarray(pixels).save(tmp_path / "in" / f"{number}.png")
    Image.fromarray(RGBA[0, :, :, :3]).save(tmp_path / "in" / "9.png")
    return tmp_path / "in"


@pytest.mark.parametrize("codec", ["auto", "png", "keep"])
@pytest.mark.parametrize("reader", ["auto", "host", "webdataset"])
def test_alpha_is_the_same_in_shards_readers_and_exports(
    codec: str, reader: str, folder: Path, tmp_path: Path, ganforge: Command
) -> None:
    out = tmp_path / "out"
    done = ganforge("data", "pack", folder, out, "--channels", 4, "--codec", codec)
    assert done.code == 0, done.err
    assert "12x20 RGBA" in done.out
    assert "transparent parts made white" not in done.out
    dataset = open_folder(out)
    assert (dataset.spec.channels, dataset.spec.has_alpha, dataset.spec.dtype) == (4, True, "uint8")
    rows = read(dataset)
    assert np.array_equal(rows[:5], RGBA)
    assert (rows[5, ..., 3] == 255).all()
    with Loader(dataset, batch_size=6, reader=reader, cache_dir=tmp_path / "cache") as loader:  # type: ignore[arg-type]
        samples = loader.next().samples
    if reader != "webdataset":
        order = loader.source.order.ids(0, 6)  # type: ignore[attr-defined]
        torch.testing.assert_close(samples, real_samples(dataset, order), atol=1e-6, rtol=0)
    assert samples.shape == (6, 4, 12, 20)
    assert ganforge("data", "export", out, tmp_path / "back").code == 0
    assert np.array_equal([np.asarray(Image.open(path)) for path in sorted((tmp_path / "back").iterdir())][:5], RGBA)
    assert ganforge("data", "inspect", out, "--sheet", tmp_path / "sheet.png").code == 0
    assert Image.open(tmp_path / "sheet.png").mode == "RGB"


def test_without_being_asked_transparent_parts_become_white(folder: Path, tmp_path: Path) -> None:
    dataset = packed(source(folder, tmp_path), tmp_path)
    assert dataset.spec.shape == (3, 12, 20)
    assert read(dataset)[0, 0, 0].tolist() == [255, 255, 255]


def test_resizing_does_not_let_invisible_colours_bleed() -> None:
    picture = np.zeros((32, 32, 4), np.uint8)
    picture[:, :16] = 255, 0, 0, 255
    picture[:, 16:] = 0, 255, 0, 0
    small = to_pixels(open_picture(encoded(picture)), Fit(8, 8, "none", 4, has_alpha=True))
    seen = small[..., 3] > 8
    assert small[seen][:, 0].min() > 240
    assert small[seen][:, 1].max() < 15


def test_colours_and_alpha_of_16_bits_are_kept(tmp_path: Path) -> None:
    deep = RNG.integers(0, 65_536, (3, 12, 20, 4), dtype=np.uint16)
    deep[0, 0, 0] = 65_535
    (tmp_path / "in").mkdir()
    for number, values in enumerate(deep):
        (tmp_path / "in" / f"{number}.png").write_bytes(png16(values))
    dataset = packed(source(tmp_path / "in", tmp_path), tmp_path, channels=4)
    assert (dataset.spec.dtype, dataset.spec.has_alpha) == ("uint16", True)
    assert np.array_equal(read(dataset), deep)


def test_an_array_of_four_channels_has_alpha_only_if_it_says_so(tmp_path: Path) -> None:
    np.save(tmp_path / "x.npy", RGBA)
    np.savez(tmp_path / "x.npz", rgba=RGBA)
    for name, has_alpha in (("x.npy", False), ("x.npz", True)):
        dataset = packed(source(tmp_path / name, tmp_path, channels=4), tmp_path / name.replace(".", "-"), channels=4)
        assert dataset.spec.has_alpha is has_alpha
        assert np.array_equal(read(dataset), RGBA)


def test_tars_of_others_are_read_with_alpha_on_request(folder: Path, tmp_path: Path) -> None:
    with tarfile.open(tmp_path / "theirs.tar", "w") as tar:
        for path in sorted(folder.iterdir()):
            tar.add(path, path.name)
    dataset = open_shards(str(tmp_path / "theirs.tar"), tmp_path / "cache", ReadOptions(channels=4))
    assert (dataset.spec.shape, dataset.spec.has_alpha) == ((4, 12, 20), True)
    assert np.array_equal(read(dataset)[:5], RGBA)


def test_a_grid_shows_a_checkerboard_through_what_is_transparent() -> None:
    samples = torch.zeros(1, 4, 32, 32)
    samples[:, :3] = 1.0
    samples[:, 3] = -1.0
    samples[:, :, :16] = torch.tensor([1.0, -1, -1, 1])[None, :, None, None]
    grid = picture_of(samples, has_alpha=True)
    scale = grid.width // 36
    pixels = np.asarray(grid)[::scale, ::scale][2:34, 2:34]
    assert grid.mode == "RGB"
    assert (pixels[:16] == (255, 0, 0)).all()
    assert np.array_equal(pixels[16:, :, 0], checkerboard(32, 32)[16:])
    assert len(np.unique(pixels[16:])) == 2
    assert picture_of(samples).mode == "RGB", "of four channels that are no alpha the first three"


def test_a_contact_sheet_and_metrics_say_what_they_do_with_alpha() -> None:
    spec = DataSpec((4, 12, 20), has_alpha=True)
    assert displayed(RGBA, spec).shape == (5, 12, 20, 3)
    check_pictures(spec)
    with pytest.raises(ValueError, match="grey or RGB"):
        check_pictures(DataSpec((4, 12, 20)))
    samples = torch.tensor([[-1.0, 1, 0, -1], [-1.0, 1, 0, 1]]).view(2, 4, 1, 1)
    assert to_rgb_bytes(samples).flatten(1).tolist() == [[255, 255, 255], [0, 255, 128]]
