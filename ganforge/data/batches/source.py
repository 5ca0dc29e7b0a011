"""What the loader asks of whatever gives it batches, and which part of a batch is a rank's own."""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from torch import Tensor


@dataclass(frozen=True)
class RankSlice:
    """This rank's part of every global batch.

    Args:
        batch_size: samples in a batch over all ranks together.
        rank: of this process among all.
        world_size: number of ranks; divides `batch_size`.
    """

    batch_size: int
    rank: int = 0
    world_size: int = 1

    @property
    def count(self) -> int:
        """Samples of this rank in a batch."""
        return self.batch_size // self.world_size

    @property
    def offset(self) -> int:
        """Where this rank's samples begin in a batch."""
        return self.rank * self.count


class Rows(NamedTuple):
    """One rank's slice of a global batch as it is stored, on the device.

    Attributes:
        rows: `(batch, height, width, channels)` of pictures, of `depth.tensor_type`; float32 `(batch, dimensions)` of
            points. The caller may write to them; those of pictures are valid until the next `take`.
        labels: int64 `(batch,)`, or None.
        ids: numbers of the samples in the dataset, int64 `(batch,)` on the host; empty when a stream has none.
    """

    rows: Tensor
    labels: Tensor | None
    ids: np.ndarray


class BatchSource(ABC):
    """A way to get batches onto the device.

    Attributes:
        threads: that read ahead; 0 without any.
        wait_seconds: host time spent waiting for data so far.
    """

    threads: int = 0
    wait_seconds: float = 0.0

    @abstractmethod
    def take(self, position: int) -> Rows:
        """This rank's slice of the global batch that begins at sample `position` of the endless order.

        Batches in their order cost least, since a source may read ahead.

        Raises:
            DataError: too many samples are unreadable, or a shard cannot be had.
        """

    def report(self) -> list[str]:
        """Key and reason of each unreadable sample met so far."""
        return []

    def close(self) -> None:
        """Stop reading; the dataset stays open."""
