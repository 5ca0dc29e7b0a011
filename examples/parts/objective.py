"""An objective: the two losses of a game."""

from torch import Tensor

from ganforge import Turn, register
from ganforge.game.precision import at_least_float32
from ganforge.objectives import Objective


@register.objective("squared_hinge")
class SquaredHinge(Objective):
    """The hinge loss of GANs with squared distances from the margin (Lim and Ye 2017; squares as in Tang 2013).

    Args:
        margin: logits beyond it cost D nothing; 1 in the papers.
    """

    def __init__(self, *, margin: float = 1.0) -> None:
        self.margin = margin

    def discriminator_loss(self, turn: Turn) -> Tensor:
        real = (self.margin - at_least_float32(turn.real_logits)).relu().square().mean()
        fake = (self.margin + at_least_float32(turn.fake_logits)).relu().square().mean()
        return real + fake

    def generator_loss(self, turn: Turn) -> Tensor:
        return -at_least_float32(turn.fake_logits).mean()
