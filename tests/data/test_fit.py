"""`data pack --fit`: pictures of other proportions cut, padded or squeezed."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import encoded, read_all
from PIL import Image

from ganforge.data.fitting import Fit
from ganforge.data.pictures import open_picture, to_pixels
from ganforge.data.shards.registered import open_folder, open_shards

Command = Callable[..., Any]


def framed(height: int, width: int, edge: tuple[int, ...], inside: tuple[int, ...]) -> np.ndarray:
    """A picture of one colour in a frame of another, four pixels wide."""
    picture = np.empty((height, width, len(edge)), np.uint8)
    picture[...] = edge
    picture[4:-4, 4:-4] = inside
    return picture


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "in").mkdir()
    Image.fromarray(framed(30, 60, (9, 0, 200), (250, 250, 250))).save(tmp_path / "in" / "0.png")
    Image.fromarray(framed(64, 32, (255, 255, 255), (0, 0, 0))).save(tmp_path / "in" / "1.png")
    return tmp_path / "in"


@pytest.mark.parametrize("size", [(32, 32), (60, 40), (64, 64), (30, 60)])
def test_padding_keeps_the_whole_picture_and_its_proportions(size: tuple[int, int]) -> None:
    picture = framed(30, 60, (9, 0, 200), (250, 250, 250))
    sample = to_pixels(open_picture(encoded(picture)), Fit(*size, "pad", 3))
    assert sample.shape == (*size, 3)
    inside = np.argwhere(sample[:, :, 1] > 128)
    high, wide = inside.max(axis=0) - inside.min(axis=0) + 1
    scale = min(size[0] / 30, size[1] / 60)
    assert abs(high - 22 * scale) <= 1.5
    assert abs(wide - 52 * scale) <= 1.5
    for corner in ((0, 0), (0, -1), (-1, 0), (-1, -1)):
        np.testing.assert_allclose(sample[corner], (9, 0, 200), atol=12)


def test_the_three_ways_differ_in_the_samples_the_digest_and_what_is_told(
    folder: Path, tmp_path: Path, ganforge: Command
) -> None:
    digests, told, samples = set(), {}, {}
    for how in ("crop", "pad", "stretch"):
        done = ganforge("data", "pack", folder, tmp_path / how, "--size", 32, "--fit", how)
        assert done.code == 0, done.err
        dataset = open_folder(tmp_path / how)
        digests.add(dataset.digest)
        samples[how] = read_all(dataset)
        report = json.loads((tmp_path / how / "pack_report.json").read_text())
        told[how] = set(report["conversions"]), dataset.manifest.made_with["crop"], done.out
    assert len(digests) == 3
    assert [told[how][1] for how in ("crop", "pad", "stretch")] == ["center", "pad", "none"]
    assert "padded" in told["pad"][0]
    assert "squeezed" in told["stretch"][0]
    assert "cropped" in told["crop"][0]
    assert "padded to size with the median colour of each picture's own edge" in told["pad"][2]
    np.testing.assert_allclose(samples["pad"][0][0, 0], (9, 0, 200), atol=2)
    assert samples["pad"][1][:, :8].min() == 255


def test_a_way_that_does_not_cut_takes_no_crop(folder: Path, tmp_path: Path, ganforge: Command) -> None:
    done = ganforge("data", "pack", folder, tmp_path / "out", "--fit", "pad", "--crop", "celeba")
    assert (done.code, (tmp_path / "out").exists()) == (2, False)
    assert done.err.startswith("ganforge: --fit pad: does not cut, so --crop celeba says nothing")


def test_without_a_size_padding_takes_the_first_pictures(folder: Path, tmp_path: Path, ganforge: Command) -> None:
    assert ganforge("data", "pack", folder, tmp_path / "out", "--fit", "pad").code == 0
    assert open_folder(tmp_path / "out").spec.shape == (3, 30, 60)


def test_tars_of_others_are_padded_when_they_are_read(folder: Path, tmp_path: Path, ganforge: Command) -> None:
    import tarfile

    from ganforge.data.foreign import ReadOptions

    with tarfile.open(tmp_path / "theirs.tar", "w") as tar:
        for path in sorted(folder.iterdir()):
            tar.add(path, path.name)
    assert ganforge("data", "pack", folder, tmp_path / "out", "--size", 32, "--fit", "pad").code == 0
    theirs = open_shards(str(tmp_path / "theirs.tar"), tmp_path / "cache", ReadOptions(32, "pad"))
    assert np.array_equal(read_all(theirs), read_all(open_folder(tmp_path / "out")))
