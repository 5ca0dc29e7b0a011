"""Small values by position, worked out and sent to the device for many coming batches at once."""

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from ganforge.data.batches.source import RankSlice
from ganforge.data.transfer import to_device

_POSITIONS = 8192


class Ahead:
    """Values on the device that depend on the position of a sample only.

    A batch's own values are a view of those of many batches: making an array and a tensor, and copying to a
    device, cost the host more than the numbers in them.

    Args:
        values: from first position and count to an array whose last axis is the positions.
        part: of each batch that is asked for.
        device: where the values go.
    """

    def __init__(self, values: Callable[[int, int], np.ndarray], part: RankSlice, device: torch.device | str) -> None:
        self._values = values
        self._device = device
        self._count = part.count
        batches = max(1, _POSITIONS // part.batch_size)
        self._length = (batches - 1) * part.batch_size + part.count
        self._begin = 0
        self._ready: tuple[np.ndarray, Tensor] | None = None

    def __call__(self, start: int) -> Tensor:
        """Values of the positions from `start` on, as many as this rank's part of a batch has; read-only."""
        (_, values), offset = self._many(start)
        return values.narrow(-1, offset, self._count)

    def on_host(self, start: int) -> np.ndarray:
        """The same on the host."""
        (values, _), offset = self._many(start)
        return values[..., offset : offset + self._count]

    def _many(self, start: int) -> tuple[tuple[np.ndarray, Tensor], int]:
        """Values of many positions, on the host and on the device, and where among them `start` is."""
        offset = start - self._begin
        if self._ready is None or not 0 <= offset <= self._length - self._count:
            values = self._values(start, self._length)
            self._ready = values, to_device(values, self._device)
            self._begin, offset = start, 0
        return self._ready, offset
