"""A penalty as the recipe weighs it: its weight and in which steps it is due."""

from torch import Tensor

from ganforge.game.penalty import Penalty
from ganforge.game.turn import Turn


class WeightedPenalty:
    """A penalty with its weight and interval; None in the turns of a step that it sits out."""

    def __init__(self, name: str, penalty: Penalty, weight: float = 1.0, interval: int = 1) -> None:
        self.name = name
        self.penalty = penalty
        self.weight = weight
        self.interval = interval

    def is_due(self, step: int) -> bool:
        return step % self.interval == 0

    def __call__(self, turn: Turn) -> Tensor:
        return self.weight * self.interval * self.penalty(turn)
