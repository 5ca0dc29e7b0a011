"""Relativistic losses: not whether a sample is real, but whether it is more real than one of the other kind."""

import torch
from torch import Tensor
from torch.nn import functional

from ganforge.game.objective import Objective
from ganforge.game.precision import at_least_float32
from ganforge.game.turn import Turn
from ganforge.ranks import mean_over_ranks
from ganforge.registry import register


@register.objective("relativistic")
class RelativisticPairing(Objective):
    """Logistic loss on pairs of a real and a fake picture (RpGAN, Jolicoeur-Martineau 2019; R3GAN, Huang et al. 2024).

    D minimises `E[softplus(-(D(x) - D(G(z))))]` and G minimises `E[softplus(-(D(G(z)) - D(x)))]`; the i-th real and the
    i-th fake picture of the batch are a pair, of one class where there are classes. G's loss looks at real pictures, so
    its turns take batches from the loader. Every fake is judged beside a real one, which leaves no local minima where
    modes are missing (Sun et al. 2020); R3GAN adds `r1` and `r2`, which make it converge. Adding a constant to all
    logits changes nothing, so there is no accuracy of D to log.
    """

    generator_sees_real = True
    has_boundary_at_zero = False
    pairs_labels = True

    def discriminator_loss(self, turn: Turn) -> Tensor:
        return functional.softplus(-self._margin(turn)).mean()

    def generator_loss(self, turn: Turn) -> Tensor:
        return functional.softplus(self._margin(turn)).mean()

    def _margin(self, turn: Turn) -> Tensor:
        """How much more real each real picture looks than its partner, `(batch,)`."""
        real, fake = at_least_float32(turn.real_logits), at_least_float32(turn.fake_logits)
        assert real.shape == fake.shape, f"no pairs: logits {tuple(real.shape)} of reals, {tuple(fake.shape)} of fakes"
        return real - fake


@register.objective("relativistic_average")
class RelativisticAverage(Objective):
    """Logistic loss against the mean logit of the other kind (RaSGAN, Jolicoeur-Martineau 2019).

    With `d(x) = D(x) - E[D(G(z))]` and `d(G(z)) = D(G(z)) - E[D(x)]`, D minimises `E[softplus(-d(x))] +
    E[softplus(d(G(z)))]` and G the same with the signs turned. That is the paper's sum; the author's code halves it for
    both players, so a penalty of weight w there is one of 2 w here. The means are those of the
    global batch, which costs one exchange of two numbers between ranks a loss; micro-batches have means of their own.
    G's loss looks at real pictures. Adding a constant to all logits changes nothing, so D has no accuracy that could be
    logged.
    """

    generator_sees_real = True
    has_boundary_at_zero = False

    def discriminator_loss(self, turn: Turn) -> Tensor:
        real, fake = self._compared(turn)
        return functional.softplus(-real).mean() + functional.softplus(fake).mean()

    def generator_loss(self, turn: Turn) -> Tensor:
        real, fake = self._compared(turn)
        return functional.softplus(real).mean() + functional.softplus(-fake).mean()

    def _compared(self, turn: Turn) -> tuple[Tensor, Tensor]:
        """Logits of reals and of fakes, each less the mean of the other, `(batch,)` both."""
        real, fake = at_least_float32(turn.real_logits), at_least_float32(turn.fake_logits)
        mean_real, mean_fake = mean_over_ranks(torch.stack((real.mean(), fake.mean()))).unbind()
        return real - mean_fake, fake - mean_real
