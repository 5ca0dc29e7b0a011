"""A penalty: a term beside the objective, in one player's loss."""

from typing import Annotated

from pydantic import Field
from torch import Tensor

from ganforge import Turn, register
from ganforge.game.penalty import Penalty
from ganforge.game.precision import at_least_float32


@register.penalty("drift")
class Drift(Penalty):
    """Squared logits of real samples, which keeps a critic's outputs near 0 (Karras et al. 2018, appendix A.1).

    Args:
        strength: multiplies the mean square; 0.001 in the paper.
    """

    player = "discriminator"  # whose loss it joins
    sees_real = True  # it looks at turn.real

    def __init__(self, *, strength: Annotated[float, Field(gt=0)] = 0.001) -> None:
        self.strength = strength

    def __call__(self, turn: Turn) -> Tensor:
        return self.strength * at_least_float32(turn.real_logits).square().mean()
