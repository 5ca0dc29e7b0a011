"""What the loader asks of a reader."""

from abc import ABC, abstractmethod

import numpy as np
from torch import Tensor


class Reader(ABC):
    """A way to get the samples of a batch onto the host.

    Attributes:
        name: as in a recipe.
        chunk: samples that one thread reads at a time.
    """

    name: str
    chunk: int = 64

    @abstractmethod
    def read(self, ids: np.ndarray, out: np.ndarray) -> np.ndarray:
        """Read the samples `ids` into the rows of `out`; called from several threads.

        Returns:
            the ids that were read in the end, after replacing what is unreadable.

        Raises:
            DataError: too much is unreadable, or a shard cannot be had.
        """

    def report(self) -> list[str]:
        """Key and reason of each unreadable sample met so far."""
        return []

    def close(self) -> None:
        """Let go of threads and files."""


class DeviceStore(ABC):
    """A way to get the samples of a batch that needs no host at all."""

    name = "device"

    @abstractmethod
    def select(self, ids: np.ndarray) -> tuple[Tensor, Tensor | None, np.ndarray]:
        """Rows on the device, their labels on the device or None, and the ids that were read."""
