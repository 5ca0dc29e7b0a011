"""Windows of larger pictures: random in training, in the middle by number."""

from typing import Any

import numpy as np
import pytest
import torch

from ganforge.data.dataset import ArrayDataset
from ganforge.data.loader import Loader
from ganforge.data.samples import real_samples
from ganforge.data.windows import Windowed
from ganforge.errors import DataError
from ganforge.spec import DataSpec


def places() -> ArrayDataset:
    """Pictures whose pixels say where they are: row, column and number."""
    rows = np.empty((20, 24, 30, 3), np.uint8)
    rows[..., 0] = np.arange(24)[None, :, None]
    rows[..., 1] = np.arange(30)[None, None, :]
    rows[..., 2] = np.arange(20)[:, None, None]
    return ArrayDataset(rows, DataSpec((3, 24, 30)), "places")


def values(samples: torch.Tensor) -> torch.Tensor:
    return ((samples + 1) * 127.5).round().to(torch.int64)


def taken(**options: Any) -> torch.Tensor:
    with Loader(places(), batch_size=8, seed=1, cut=(16, 12), **options) as loader:
        return torch.cat([values(loader.next().samples) for _ in range(20)])


def test_windows_are_whole_and_anywhere() -> None:
    seen = taken()
    assert seen.shape == (160, 3, 16, 12)
    top, left = seen[:, 0, 0, 0], seen[:, 1, 0, 0]
    assert torch.equal(seen[:, 0, :, 0], top[:, None] + torch.arange(16))
    assert torch.equal(seen[:, 1, 0, :], left[:, None] + torch.arange(12))
    assert set(top.tolist()) == set(range(9))
    assert set(left.tolist()) == set(range(19))


def test_windows_do_not_depend_on_ranks_nor_on_where_one_begins() -> None:
    whole = taken()
    halves = []
    for rank in (0, 1):
        with Loader(places(), batch_size=8, rank=rank, world_size=2, seed=1, cut=(16, 12)) as loader:
            loader.seek(8 * 15)
            halves.append(values(loader.next().samples))
    assert torch.equal(torch.cat(halves), whole[8 * 15 : 8 * 16])


def test_by_number_it_is_the_middle_and_a_loader_takes_random_ones() -> None:
    dataset = Windowed(places(), (16, 12))
    assert str(dataset.spec) == "16x12 RGB"
    middle = values(real_samples(dataset, np.array([3])))[0, :, 0, 0]
    assert middle.tolist() == [4, 9, 3]
    with Loader(dataset, batch_size=8, seed=1) as loader:
        assert torch.equal(values(loader.next().samples), taken()[:8])


def test_windows_that_pictures_do_not_have_are_refused() -> None:
    with pytest.raises(DataError, match=r"data\.cut: windows of 25x10 are larger than the pictures"):
        Windowed(places(), (25, 10))
