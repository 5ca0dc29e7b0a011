"""What a generator is given, and where that comes from: latents here, pictures in `picture_sources`."""

from abc import ABC, abstractmethod

from torch import Tensor

from ganforge.data.loader import Batch
from ganforge.game.latents import IndexedLatents
from ganforge.game.latents_ahead import LatentsAhead
from ganforge.spec import DataSpec

Given = tuple[Tensor, Tensor | None]
"""What the generator is given, `(batch, ...)` on the device, and the labels of what it makes `(batch,)` or None."""


class Source(ABC):
    """Where the generator's input comes from.

    Attributes:
        spec: what a picture that the generator is given looks like; None for latents.
        needs_reals: whether a turn needs real samples even if none of its terms looks at them.
        digest: of the dataset that it reads, if it has one of its own.
    """

    spec: DataSpec | None = None
    needs_reals: bool = False
    digest: str = ""

    @abstractmethod
    def of_turn(self, stream: str, number: int, indices: range, reals: Batch | None, start: int) -> Given:
        """What this rank's samples of a turn are made of, the same on any number of ranks.

        Args:
            stream: whose turn it is.
            number: of the turn in the run.
            indices: of this rank's samples in the global batch.
            reals: real samples of the turn, if it has any.
            start: position of the first of them in the endless order of the data.
        """

    @abstractmethod
    def shown(self, stream: str, number: int, indices: range) -> Given:
        """What samples by index are made of, to look at or to judge: the same each time."""

    def targets(self, stream: str, indices: range) -> Tensor | None:
        """What the samples of `shown` should have become, `(len(indices), *spec.shape)`; None where nobody knows."""
        return None

    def seek(self, position: int) -> None:
        """Called when the data goes on at sample `position` of its endless order; sources with an order follow."""

    def close(self) -> None:
        """Let go of open files."""


class Latents(Source):
    """Latents keyed by their place in the global batch, and labels where the data has classes.

    Args:
        indexed: of the run.
    """

    def __init__(self, indexed: IndexedLatents) -> None:
        self.indexed = indexed
        self._ahead: LatentsAhead | None = None

    def of_turn(self, stream: str, number: int, indices: range, reals: Batch | None, start: int) -> Given:
        if self._ahead is None or self._ahead.indices != indices:
            self._ahead = LatentsAhead(self.indexed, indices)
        return self._ahead(stream, number)

    def shown(self, stream: str, number: int, indices: range) -> Given:
        return self.indexed(stream, number, indices)
