"""Re-packing shards: our own, or WebDatasets of others, from anywhere."""

from pathlib import Path

import numpy as np

from ganforge.data.header import HEADER_BYTES
from ganforge.data.pictures import values_in
from ganforge.data.shards.dataset import ShardDataset
from ganforge.data.shards.registered import open_shards
from ganforge.data.sources.base import Item, Source


class ShardsSource(Source):
    """The samples of a dataset in shards, in their order.

    Args:
        path: folder, tars or urls, see the dataset `shards`.
        cache_dir: where fetched shards and indexes go.
        labels: whether to take over labels.

    Raises:
        DataError: there is nothing, or it is damaged.
    """

    def __init__(self, path: str, cache_dir: Path, *, labels: bool = True) -> None:
        self.path, self.cache_dir = path, cache_dir
        self._opened: ShardDataset | None = None
        dataset = self._dataset()
        self.classes = dataset.spec.classes if labels else ()
        self.rules = dataset.rules
        self.is_uniform = dataset.codec == "raw"
        self.fingerprint = dataset.digest
        self._count = len(dataset)

    def _dataset(self) -> ShardDataset:
        self._opened = self._opened or open_shards(self.path, self.cache_dir)
        return self._opened

    def __len__(self) -> int:
        return self._count

    def item(self, index: int) -> Item:
        dataset = self._dataset()
        data: bytes | np.ndarray = bytes(dataset.encoded(index))
        name = dataset.key(index)
        if data[:6] == b"\x93NUMPY":
            data = values_in(data)
        return Item(data, -1 if dataset.labels is None else int(dataset.labels[index]), name)

    def start(self, index: int) -> bytes:
        return bytes(self._dataset().encoded(index)[:HEADER_BYTES])

    def __getstate__(self) -> dict[str, object]:
        return {**self.__dict__, "_opened": None}
