"""All samples on the accelerator, as uint8: for sets that fit."""

import numpy as np
import torch
from torch import Tensor

from ganforge.data.dataset import Dataset
from ganforge.data.readers.base import DeviceStore, Reader
from ganforge.data.transfer import to_device

_FILL = 512  # rows at a time, so that what is needed on the way stays small


class ResidentStore(DeviceStore):
    """The whole dataset in one tensor on the device.

    Args:
        dataset: what to hold.
        source: where its rows come from.
        device: where to hold it.
    """

    def __init__(self, dataset: Dataset, source: Reader, device: torch.device) -> None:
        count, shape = len(dataset), dataset.row_shape
        dtype = torch.uint8 if dataset.spec.is_image else torch.float32
        self.rows = torch.empty((count, *shape), dtype=dtype, device=device)
        actual = np.arange(count)
        is_cpu = device.type == "cpu"
        staging = None if is_cpu else torch.empty((min(_FILL, count), *shape), dtype=dtype, pin_memory=True)
        for start in range(0, count, _FILL):
            stop = min(start + _FILL, count)
            target = self.rows[start:stop] if staging is None else staging[: stop - start]
            actual[start:stop] = source.read(np.arange(start, stop), target.numpy())
            if staging is not None:
                self.rows[start:stop].copy_(target)  # blocking: the staging buffer is used again at once
            # What the shards map counts as memory of this process until it is given back.
            dataset.release()
        labels = dataset.labels
        self.labels = None if labels is None else torch.from_numpy(labels[actual]).to(device)
        self._actual = actual
        self._device = device
        self._problems = source.report()

    def select(self, ids: np.ndarray) -> tuple[Tensor, Tensor | None, np.ndarray]:
        index = to_device(ids, self._device)
        labels = None if self.labels is None else self.labels.index_select(0, index)
        return self.rows.index_select(0, index), labels, self._actual[ids]

    def report(self) -> list[str]:
        """Key and reason of each sample that was replaced."""
        return self._problems
