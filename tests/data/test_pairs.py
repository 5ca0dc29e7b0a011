"""Pairs: two halves that move alike, and what are no pairs."""

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from typer.testing import CliRunner

from ganforge.cli.main import app
from ganforge.data.loader import Loader
from ganforge.data.pack import pack
from ganforge.data.pairs import Pairs
from ganforge.data.plan import PackOptions
from ganforge.data.samples import real_samples, source_samples
from ganforge.data.sources.folder import FolderSource
from ganforge.errors import DataError
from ganforge.registry import register


def side_by_side(folder: Path, count: int = 12) -> Path:
    """Files of which the right half is the left one, inverted; a lit pixel says which is which."""
    folder.mkdir()
    random = np.random.default_rng(0)
    for number in range(count):
        left = random.integers(0, 200, (16, 20, 3), dtype=np.uint8)
        Image.fromarray(np.concatenate((left, 255 - left), axis=1)).save(folder / f"{number:02d}.png")
    return folder


@pytest.fixture
def halves(tmp_path: Path) -> dict[str, str]:
    """Both packs of one folder, by the command line."""
    folder = side_by_side(tmp_path / "files")
    paths = {}
    for half in ("left", "right"):
        paths[half] = str(tmp_path / half)
        done = CliRunner().invoke(app, ["data", "pack", str(folder), paths[half], "--half", half, "--workers", "1"])
        assert done.exit_code == 0, done.output
    return paths


def pairs(target: str, source: str, tmp_path: Path) -> Pairs:
    return register.dataset.make("pairs", cache_dir=tmp_path / "cache", target=target, source=source)


def test_both_halves_are_read_by_one_number(halves, tmp_path: Path) -> None:
    dataset = pairs(halves["left"], halves["right"], tmp_path)
    assert str(dataset.spec) == str(dataset.source) == "16x20 RGB"
    assert dataset.row_shape == (16, 20, 6)
    torch.testing.assert_close(real_samples(dataset), -source_samples(dataset))


@pytest.mark.parametrize("reader", ["device", "host", "raw"])
def test_both_halves_are_cut_flipped_shifted_and_turned_alike(halves, tmp_path: Path, reader: str) -> None:
    dataset = pairs(halves["left"], halves["right"], tmp_path)
    options = {"flip": True, "crop": 2, "rotate": 20.0, "cut": (12, 14), "reader": reader}
    with Loader(dataset, batch_size=8, seed=3, cache_dir=tmp_path / "cache", **options) as loader:
        for _ in range(3):
            batch = loader.next()
            assert batch.source is not None
            assert batch.samples.shape == batch.source.shape == (8, 3, 12, 14)
            torch.testing.assert_close(batch.samples, -batch.source, atol=1e-5, rtol=0)


def test_what_are_no_pairs_is_refused_where_it_differs(halves, tmp_path: Path) -> None:
    files = tmp_path / "files"
    options = {"workers": 1, "codec": "raw"}
    pack(FolderSource(files), tmp_path / "whole", PackOptions(**options))
    with pytest.raises(DataError, match="not of one size: 16x20 RGB and 16x40 RGB"):
        pairs(halves["left"], str(tmp_path / "whole"), tmp_path)
    pack(FolderSource(files), tmp_path / "few", PackOptions(**options, limit=5))
    with pytest.raises(DataError, match="12 and 5 samples"):
        pairs(halves["left"], str(tmp_path / "few"), tmp_path)
    (files / "03.png").write_bytes(b"\x89PNG\r\n\x1a\n damaged")
    pack(FolderSource(files), tmp_path / "damaged", PackOptions(**options, max_bad="10%"))
    Image.new("RGB", (40, 16)).save(files / "99.png")
    pack(FolderSource(files), tmp_path / "other", PackOptions(**options, max_bad="10%"))
    with pytest.raises(DataError, match="'000000003' in one and '000000004' in the other"):
        Pairs(*(_opened(tmp_path / "whole"), _opened(tmp_path / "other")))


def _opened(path: Path):
    from ganforge.data.shards.registered import open_folder

    return open_folder(path)


def test_a_picture_of_an_odd_width_has_no_halves(tmp_path: Path) -> None:
    folder = side_by_side(tmp_path / "files", 3)
    Image.new("RGB", (41, 16)).save(folder / "odd.png")
    command = ["data", "pack", str(folder), str(tmp_path / "out"), "--half", "left", "--workers", "1", "--max-bad", "1"]
    done = CliRunner().invoke(app, command)
    assert done.exit_code == 0, done.output
    assert "41 pixels wide" in done.output
