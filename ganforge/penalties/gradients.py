"""Penalties on the slope of the discriminator: the gradient of its logits by the samples.

Forwards run in the run's precision, norms of the gradients in float32 or wider. The samples that
are differentiated are the ones before augmentation. Each term costs a forward and a double backward of its own;
`interval` computes them in only some of the steps.
"""

from typing import Annotated

import torch
from pydantic import Field
from torch import Tensor

from ganforge.game.penalty import Penalty, Strength
from ganforge.game.precision import at_least_float32
from ganforge.game.turn import Turn
from ganforge.registry import register


def input_gradients(turn: Turn, samples: Tensor, labels: Tensor | None) -> Tensor:
    """Gradient of each logit by what D saw for it, flattened to `(logits, numbers)`, with a graph to D's weights."""
    samples = samples.detach().requires_grad_()
    logits = turn.discriminate(samples, labels)
    (gradient,) = torch.autograd.grad(logits.sum(), samples, create_graph=True)
    return at_least_float32(gradient).reshape(len(logits), -1)  # D judges a pack (PacGAN) as one sample


class _ZeroCentred(Penalty):
    """Half of `gamma` times the mean squared length of the gradient."""

    needs_double_backward = True

    def __init__(self, *, gamma: float) -> None:
        self.gamma = gamma

    def _penalty(self, turn: Turn, samples: Tensor, labels: Tensor | None) -> Tensor:
        return 0.5 * self.gamma * input_gradients(turn, samples, labels).square().sum(dim=1).mean()


@register.penalty("r1")
class R1(_ZeroCentred):
    """Gradient penalty on real pictures, `gamma / 2 * E[|grad D(x)|^2]` (Mescheder et al. 2018, equation 9).

    The half is the paper's, StyleGAN2's and R3GAN's; the code of Mescheder et al. has none, so that its 10 is 20 here.

    Args:
        gamma: strength; the paper uses 10, smaller values for small pictures.
    """

    def __init__(self, *, gamma: Strength = 10.0) -> None:
        super().__init__(gamma=gamma)

    def __call__(self, turn: Turn) -> Tensor:
        return self._penalty(turn, turn.real, turn.real_labels)


@register.penalty("r2")
class R2(_ZeroCentred):
    """Gradient penalty on fake pictures, `gamma / 2 * E[|grad D(G(z))|^2]` (Mescheder et al. 2018, equation 10).

    Together with `r1` it makes the `relativistic` loss converge (R3GAN, Huang et al. 2024, section 2). As for `r1`, the
    code of Mescheder et al. has no half: its 10 is 20 here.

    Args:
        gamma: strength; the paper uses 10, smaller values for small pictures.
    """

    sees_real = False

    def __init__(self, *, gamma: Strength = 10.0) -> None:
        super().__init__(gamma=gamma)

    def __call__(self, turn: Turn) -> Tensor:
        return self._penalty(turn, turn.fake, turn.fake_labels)


class _Centred(Penalty):
    """`strength * E[(|grad D| - target)^2]` at points that a subclass chooses."""

    needs_double_backward = True

    def __init__(self, *, strength: float, target: float) -> None:
        self.strength = strength
        self.target = target

    def _penalty(self, turn: Turn, samples: Tensor) -> Tensor:
        norms = torch.linalg.vector_norm(input_gradients(turn, samples, turn.real_labels), dim=1)
        return self.strength * (norms - self.target).square().mean()


@register.penalty("gradient_penalty")
class GradientPenalty(_Centred):
    """Gradient penalty between real and fake pictures (WGAN-GP, Gulrajani et al. 2017, equation 3).

    `strength * E[(|grad D(y)| - target)^2]` with `y = epsilon * x + (1 - epsilon) * G(z)` and epsilon from U[0, 1], one
    number a sample. With labels, y is shown with those of the real picture. The paper's critic has no batch norm, since
    the gradient of one sample's logit must not depend on the others.

    Args:
        strength: lambda; 10 in the paper.
        target: length that gradients should have; 1 in the paper, where the loss is `wasserstein`.
    """

    def __init__(self, *, strength: Strength = 10.0, target: Annotated[float, Field(ge=0)] = 1.0) -> None:
        super().__init__(strength=strength, target=target)

    def __call__(self, turn: Turn) -> Tensor:
        real, fake = turn.real, turn.fake
        # Samples with one logit lie on one line.
        epsilon = torch.rand(len(real) // turn.packing, dtype=real.dtype, device=real.device)
        epsilon = epsilon.repeat_interleave(turn.packing)
        epsilon = epsilon.view(-1, *(1 for _ in real.shape[1:]))
        return self._penalty(turn, epsilon * real + (1.0 - epsilon) * fake)


@register.penalty("dragan")
class DRAGAN(_Centred):
    """Gradient penalty around real pictures (DRAGAN, Kodali et al. 2017).

    `strength * E[(|grad D(x + delta)| - target)^2]` with Gaussian `delta`, as in the paper, whose deviation is `noise`
    times that of the numbers in the batch of real pictures, on each rank its own. The authors' code draws otherwise:
    each number goes up by `0.5 alpha u` deviations, u from U[0, 1] and alpha one for each picture from U[0, 1]; the
    root of that noise's mean square is 1/6, the default here. Many ports have a noise of 0.5. With labels, points are
    shown with those of the real pictures.

    Args:
        strength: lambda; 10 in the paper.
        target: k, the length that gradients should have; 1 in the paper.
        noise: deviation of delta in units of the real pictures' deviation.
    """

    def __init__(
        self, *, strength: Strength = 10.0, target: Annotated[float, Field(ge=0)] = 1.0, noise: Strength = 1 / 6
    ) -> None:
        super().__init__(strength=strength, target=target)
        self.noise = noise

    def __call__(self, turn: Turn) -> Tensor:
        real = turn.real
        return self._penalty(turn, real + self.noise * real.std() * torch.randn_like(real))
