"""The Wasserstein distance: D is a critic, whose logits are heights and not decisions."""

from torch import Tensor

from ganforge.game.objective import Objective
from ganforge.game.precision import at_least_float32
from ganforge.game.turn import Turn
from ganforge.registry import register


@register.objective("wasserstein")
class Wasserstein(Objective):
    """Difference of the critic's means on fake and real pictures (WGAN, Arjovsky et al. 2017, algorithm 1).

    D minimises `E[D(G(z))] - E[D(x)]`, whose negative estimates the distance as long as D is 1-Lipschitz, and G
    minimises `-E[D(G(z))]`. Something must keep D's slope bounded: `clip_weights` on its optimizer (the paper), the
    penalty `gradient_penalty` (Gulrajani et al. 2017), or spectral norm. The paper gives D five turns a step. Adding a
    constant to all logits changes nothing, so the log's accuracies mean nothing here.
    """

    has_boundary_at_zero = False

    def discriminator_loss(self, turn: Turn) -> Tensor:
        return at_least_float32(turn.fake_logits).mean() - at_least_float32(turn.real_logits).mean()

    def generator_loss(self, turn: Turn) -> Tensor:
        return -at_least_float32(turn.fake_logits).mean()
