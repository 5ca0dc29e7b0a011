"""Readers that take each batch from the shards: `raw` and `encoded`."""

import numpy as np

from ganforge.data.dataset import Dataset
from ganforge.data.faults import Faults
from ganforge.data.readers.base import Reader


class DirectReader(Reader):
    """Samples from the mapped shards, batch by batch.

    Raw shards are one strided view of the file, gathered by index; encoded pictures are decoded
    straight into the batch.

    Args:
        name: `raw` or `encoded`.
        dataset: to read from.
        max_corrupt: see `LoaderOptions`.
    """

    def __init__(self, name: str, dataset: Dataset, max_corrupt: float) -> None:
        self.name = name
        self.chunk = 256 if name == "raw" else 16
        self.faults = Faults(dataset, max_corrupt)

    def read(self, ids: np.ndarray, out: np.ndarray) -> np.ndarray:
        return self.faults.read(ids, out)

    def report(self) -> list[str]:
        return self.faults.report()
