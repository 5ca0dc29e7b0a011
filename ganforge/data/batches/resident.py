"""All samples on the device, as they are stored: for sets that fit."""

import numpy as np
import torch

from ganforge.data.batches.ahead import Ahead
from ganforge.data.batches.source import BatchSource, RankSlice, Rows
from ganforge.data.dataset import Dataset
from ganforge.data.depth import as_stored, tensor_type
from ganforge.data.order import Order
from ganforge.data.readers.base import Reader

_FILL = 512  # rows at a time, so that what is needed on the way stays small


class ResidentSource(BatchSource):
    """The whole dataset in one tensor on the device, read once.

    Args:
        dataset: what to hold.
        reader: where its rows come from.
        order: of the samples.
        part: of each batch that is this rank's.
        device: where to hold it.
    """

    def __init__(self, dataset: Dataset, reader: Reader, order: Order, part: RankSlice, device: torch.device) -> None:
        self.order = order
        self._part = part
        count, shape = len(dataset), dataset.row_shape
        dtype = tensor_type(dataset)
        self._rows = torch.empty((count, *shape), dtype=dtype, device=device)
        actual = np.arange(count)
        is_cpu = device.type == "cpu"
        staging = None if is_cpu else torch.empty((min(_FILL, count), *shape), dtype=dtype, pin_memory=True)
        for start in range(0, count, _FILL):
            stop = min(start + _FILL, count)
            target = self._rows[start:stop] if staging is None else staging[: stop - start]
            actual[start:stop] = reader.read(np.arange(start, stop), as_stored(target, dataset))
            if staging is not None:
                self._rows[start:stop].copy_(target)  # blocking: the staging buffer is used again at once
            # What the shards map counts as memory of this process until it is given back.
            dataset.release()
        labels = dataset.labels
        self._labels = None if labels is None else torch.from_numpy(labels[actual]).to(device)
        self._actual = actual
        self._index = Ahead(order.ids, part, device)
        self._problems = reader.report()
        reader.close()

    def take(self, position: int) -> Rows:
        start = position + self._part.offset
        index = self._index(start)
        labels = None if self._labels is None else self._labels.index_select(0, index)
        ids = self._actual[self._index.on_host(start)]
        return Rows(self._rows.index_select(0, index), labels, ids)

    def report(self) -> list[str]:
        return self._problems
