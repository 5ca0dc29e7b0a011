"""What packing needs of a source of pictures."""

from abc import ABC, abstractmethod
from typing import NamedTuple

import numpy as np


class Item(NamedTuple):
    """One picture of a source.

    Attributes:
        data: encoded bytes, or an array `(height, width)` or `(height, width, channels)`.
        label: class number, or -1 without one.
        name: what people know it by.
    """

    data: bytes | np.ndarray
    label: int
    name: str


class Source(ABC):
    """Pictures with stable numbers. Pickled to worker processes, so open files are opened lazily.

    Attributes:
        classes: names of the classes in the order of their labels; empty without labels.
        fingerprint: changes when the source does; a killed pack goes on only if it is the same.
    """

    classes: tuple[str, ...] = ()
    fingerprint: str = ""

    @abstractmethod
    def __len__(self) -> int:
        """Number of pictures."""

    @abstractmethod
    def item(self, index: int) -> Item:
        """Picture number `index`."""
