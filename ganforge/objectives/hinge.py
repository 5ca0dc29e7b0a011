"""The hinge loss: a sample that D has right by a margin teaches it nothing more."""

from torch import Tensor
from torch.nn import functional

from ganforge.game.objective import Objective
from ganforge.game.precision import at_least_float32
from ganforge.game.turn import Turn
from ganforge.registry import register


@register.objective("hinge")
class Hinge(Objective):
    """Hinge loss for the discriminator (Lim and Ye 2017; Miyato et al. 2018, equations 16 and 17).

    D minimises `E[max(0, 1 - D(x))] + E[max(0, 1 + D(G(z)))]` and G minimises `-E[D(G(z))]`. G's loss has no bound, so
    D should have one on its slope: spectral norm (as in SNGAN, SAGAN and BigGAN) or a gradient penalty.
    """

    def discriminator_loss(self, turn: Turn) -> Tensor:
        real, fake = at_least_float32(turn.real_logits), at_least_float32(turn.fake_logits)
        return functional.relu(1.0 - real).mean() + functional.relu(1.0 + fake).mean()

    def generator_loss(self, turn: Turn) -> Tensor:
        return -at_least_float32(turn.fake_logits).mean()
