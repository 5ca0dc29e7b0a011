"""A folder of pictures for evaluation: the same files, channels and values as packing would take."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from ganforge.data.picture_folder import PictureFolder

RNG = np.random.default_rng(0)
RGB = RNG.integers(0, 256, (16, 16, 3), dtype=np.uint8)


def rows_of(folder: PictureFolder) -> tuple[np.ndarray, dict[int, str]]:
    rows = np.zeros((len(folder), *folder.row_shape), np.uint8)
    problems = folder.read(np.arange(len(folder)), rows)
    return rows, {row: str(problem) for row, problem in problems.items()}


def test_links_that_lead_nowhere_or_back_bring_no_traceback_and_no_picture_twice(tmp_path: Path) -> None:
    for number in range(4):
        Image.fromarray(RGB).save(tmp_path / f"{number}.png")
    (tmp_path / "a-link.png").symlink_to("/nowhere/x.png")
    (tmp_path / "me").symlink_to(tmp_path)
    folder = PictureFolder(tmp_path)
    assert len(folder) == 5
    _, problems = rows_of(folder)
    assert list(problems) == [4], "sorted by path, the link comes last"
    assert "a-link.png: is a link that leads nowhere" in problems[4]


def test_grey_with_alpha_stays_grey_and_one_of_colour_makes_all_rgb(tmp_path: Path) -> None:
    for number in range(3):
        Image.fromarray(RGB).convert("LA").save(tmp_path / f"{number}.png")
    assert PictureFolder(tmp_path).spec.channels == 1
    Image.fromarray(RGB).save(tmp_path / "z.png")
    assert PictureFolder(tmp_path).spec.channels == 3


def test_12_bits_are_not_evaluated_nearly_black(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    values = RNG.integers(0, 4096, (16, 16), dtype=np.uint16)
    Image.fromarray(values).save(tmp_path / "0.png")
    rows, _ = rows_of(PictureFolder(tmp_path))
    assert np.array_equal(rows[0, ..., 0], values >> 4)
    assert "more than 8 bits a channel: values 0..4095 become 0..255" in caplog.text
