"""Windows of larger pictures: at random places in training, in the middle where samples are looked at by number."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from ganforge.data.batches.ahead import Ahead
from ganforge.data.batches.source import RankSlice
from ganforge.data.dataset import Dataset, Unreadable
from ganforge.data.transform import uniform
from ganforge.errors import DataError

STREAMS = (5, 6)
"""Of the numbers that say where a window begins, down and across."""


class RandomWindows:
    """A window of each picture, at a place that is hashed from the seed and its position in the endless order.

    Args:
        seed: of the recipe.
        size: `(height, width)` of a window.
        whole: `(height, width)` of the pictures.
        part: of each batch that is this rank's.
        device: where the pictures are.
    """

    def __init__(
        self, seed: int, size: tuple[int, int], whole: tuple[int, int], part: RankSlice, device: torch.device
    ) -> None:
        self.size = size
        spans = [side - window + 1 for side, window in zip(whole, size, strict=True)]

        def draw(start: int, count: int) -> np.ndarray:
            places = np.arange(start, start + count)
            rows = [uniform(seed, places, stream) * span for stream, span in zip(STREAMS, spans, strict=True)]
            return np.stack(rows).astype(np.int64)

        self._places = Ahead(draw, part, device)

    def __call__(self, rows: Tensor, start: int) -> Tensor:
        """`(batch, height, width, channels)` to `(batch, *size, channels)`, the first at position `start`."""
        batch, height, width, channels = rows.shape
        down, across = self._places(start)
        lines = down[:, None] + torch.arange(self.size[0], device=rows.device)
        columns = across[:, None] + torch.arange(self.size[1], device=rows.device)
        lines += torch.arange(0, batch * height, height, device=rows.device)[:, None]
        pixels = lines[:, :, None] * width + columns[:, None, :]
        return rows.reshape(-1, channels).index_select(0, pixels.flatten()).view(batch, *self.size, channels)


class Windowed(Dataset):
    """A dataset whose samples are windows of another's: by number always the middle; a loader takes random ones.

    Args:
        whole: the pictures.
        size: `(height, width)` of a window.

    Raises:
        DataError: the samples are not pictures, or smaller than a window.
    """

    def __init__(self, whole: Dataset, size: tuple[int, int]) -> None:
        check_window(whole, size)
        self.whole = whole
        self.size = size
        self.spec = replace(whole.spec, shape=(whole.spec.channels, *size))
        if whole.source is not None:
            self.source = replace(whole.source, shape=(whole.source.channels, *size))
        self.digest = f"{whole.digest}-{size[0]}x{size[1]}"
        self.labels = whole.labels
        self.codec = whole.codec
        self.shard_sizes: Sequence[int] = whole.shard_sizes
        self.is_local = whole.is_local

    def read(self, ids: np.ndarray, out: np.ndarray) -> dict[int, Unreadable]:
        rows = np.empty((len(ids), *self.whole.row_shape), self.whole.dtype)
        failures = self.whole.read(ids, rows)
        top, left = ((side - window) // 2 for side, window in zip(rows.shape[1:3], self.size, strict=True))
        out[:] = rows[:, top : top + self.size[0], left : left + self.size[1]]
        return failures

    def key(self, sample: int) -> str:
        return self.whole.key(sample)

    def prepare(self, cache_dir: Path, cache_limit_bytes: int) -> None:
        self.whole.prepare(cache_dir, cache_limit_bytes)

    def release(self) -> None:
        self.whole.release()

    def close(self) -> None:
        self.whole.close()


def check_window(dataset: Dataset, size: tuple[int, int]) -> None:
    """Refuse windows that the pictures do not have.

    Raises:
        DataError: naming both sizes.
    """
    if not dataset.spec.is_image:
        raise DataError(f"data.cut: cuts windows out of pictures, and these samples are {dataset.spec}; leave it out")
    if size[0] > dataset.spec.height or size[1] > dataset.spec.width:
        raise DataError(
            f"data.cut: windows of {size[0]}x{size[1]} are larger than the pictures, which are {dataset.spec}; "
            "choose smaller ones"
        )
