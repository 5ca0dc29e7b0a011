"""What a source of batches asks of a reader."""

from abc import ABC, abstractmethod

import numpy as np


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
