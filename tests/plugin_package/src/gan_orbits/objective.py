"""An objective of another kind than cross-entropy."""

import torch
from torch import Tensor
from torch.nn import functional

from ganforge.game.turn import Turn
from ganforge.objectives import Objective
from ganforge.registry import register


@register.objective("least-squares")
class LeastSquares(Objective):
    """Squared distance of the logits from their targets (LSGAN, Mao et al. 2017, equation 9).

    Args:
        real: target for real samples in D's loss, and for fake ones in G's; 1 in the paper.
        fake: target for fake samples in D's loss; 0 in the paper.
    """

    def __init__(self, *, real: float = 1.0, fake: float = 0.0) -> None:
        self.real = real
        self.fake = fake

    def discriminator_loss(self, turn: Turn) -> Tensor:
        return distance(turn.real_logits, self.real) + distance(turn.fake_logits, self.fake)

    def generator_loss(self, turn: Turn) -> Tensor:
        return distance(turn.fake_logits, self.real)


def distance(logits: Tensor, target: float) -> Tensor:
    """Half the mean squared distance; torch computes it in float32 under autocast, where `**2` would stay in bf16."""
    return 0.5 * functional.mse_loss(logits, torch.full_like(logits, target))
