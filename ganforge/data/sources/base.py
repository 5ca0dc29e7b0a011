"""What packing needs of a source of pictures."""

from abc import ABC, abstractmethod
from typing import NamedTuple

import numpy as np

from ganforge.data.classes import Labelling, printable
from ganforge.data.header import HEADER_BYTES


class Item(NamedTuple):
    """One picture of a source.

    Attributes:
        data: encoded bytes, or an array `(height, width)` or `(height, width, channels)`.
        label: class number, or -1 without one.
        name: what people know it by.
        has_alpha: whether the fourth channel of an array is opacity.
    """

    data: bytes | np.ndarray
    label: int
    name: str
    has_alpha: bool = False


class Source(ABC):
    """Pictures with stable numbers. Pickled to worker processes, so open files are opened lazily.

    Attributes:
        classes: names of the classes in the order of their labels; empty without labels.
        fingerprint: changes when the source does; a killed pack goes on only if it is the same.
        rules: what was decided about names and labels, in sentences for people.
        left_out: name and reason of each picture that is there and no part of the source.
        is_uniform: whether all pictures are of the first one's kind: grey or colour, and of its type.
    """

    classes: tuple[str, ...] = ()
    fingerprint: str = ""
    rules: tuple[str, ...] = ()
    left_out: tuple[tuple[str, str], ...] = ()
    is_uniform: bool = False

    @abstractmethod
    def __len__(self) -> int:
        """Number of pictures."""

    @abstractmethod
    def item(self, index: int) -> Item:
        """Picture number `index`."""

    def known_as(self, index: int) -> str:
        """What people know a picture by that cannot be read."""
        return f"picture {index}"

    def start(self, index: int) -> bytes | np.ndarray:
        """The array of a picture, or its first bytes: `header.HEADER_BYTES` of them, or all that there are."""
        data = self.item(index).data
        return data if isinstance(data, np.ndarray) else data[:HEADER_BYTES]

    def take(self, names: list[str], found: Labelling) -> list[int]:
        """Take over classes, and say what was decided and what is left out.

        Returns:
            the places in `names` of the pictures that belong to the source, in order.
        """
        gone = set(found.left_out)
        self.classes = found.classes
        self.rules = (*self.rules, found.rule)
        self.left_out = tuple(
            (printable(names[place]), "has no label, and the others have one") for place in sorted(gone)
        )
        return [place for place in range(len(names)) if place not in gone]
