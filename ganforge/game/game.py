"""What the loop asks of a game, whatever its generator is given."""

from collections.abc import Sequence
from typing import Protocol

from torch import Tensor

from ganforge.game.player import Player
from ganforge.game.pool import Pool
from ganforge.game.source import Source
from ganforge.game.turn import Turn


class Game(Protocol):
    """Makes the turns of both players, and samples to look at."""

    @property
    def source(self) -> Source:
        """Of what the generator is given."""
        ...

    @property
    def pools(self) -> Sequence[Pool]:
        """Earlier fakes, for each way; empty in a game without."""
        ...

    def turns(self, moving: Player, step: int, number: int) -> list[Turn]:
        """One move of a player, in micro-batches.

        Args:
            moving: whose move.
            step: number of the alternation, from 0.
            number: of this player's moves in the step, from 0.
        """
        ...

    def inputs(self, stream: str, number: int, indices: range) -> tuple[Tensor, Tensor | None]:
        """What the generator is given for samples by index, and their labels `(len(indices),)` or None."""
        ...

    def sample(self, stream: str, indices: range) -> Tensor:
        """Samples of the averaged generator by index, `(len(indices), *spec.shape)` on the device."""
        ...

    def sample_back(self, stream: str, indices: range) -> Tensor:
        """Of a game with two ways: translations back by index, by the averaged generator."""
        ...

    def targets(self, stream: str, indices: range) -> Tensor | None:
        """What samples by index should have become; None where nobody knows."""
        ...
