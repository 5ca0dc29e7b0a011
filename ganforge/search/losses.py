"""What a searched latent's sample must be like: the known pixels, and a picture that the discriminator believes."""

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional

WINDOW = 7


def context_weights(missing: Tensor, window: int = WINDOW) -> Tensor:
    """Weights of known pixels: each counts by how much of its surroundings is missing (Yeh et al. 2017, equation 3).

    Args:
        missing: `(batch, 1, height, width)`, 1 where a pixel is missing and 0 where it is known.
        window: side of the surroundings, odd.

    Returns:
        weights of the same shape: 0 for missing pixels, and for known ones far from any hole.
    """
    area = functional.avg_pool2d(missing, window, stride=1, padding=window // 2, count_include_pad=True)
    return area * (1.0 - missing)


def context_loss(samples: Tensor, wanted: Tensor, weights: Tensor) -> Tensor:
    """Weighted sum of absolute differences of known pixels (Yeh et al. 2017, equation 4), `(batch,)`."""
    return (weights * (samples - wanted).abs()).flatten(1).sum(dim=1)


def prior_loss(discriminator: nn.Module, samples: Tensor, labels: Tensor | None) -> Tensor:
    """log(1 - D(sample)) from the logits of D (Yeh et al. 2017, equation 5), `(batch,)`: less is more real."""
    return -functional.softplus(discriminator(samples, labels).float())


def inpainting_loss(
    wanted: Tensor, missing: Tensor, discriminator: nn.Module | None, prior: float
) -> Callable[[Tensor, Tensor, Tensor | None], Tensor]:
    """Context loss plus `prior` times prior loss, for `search`.

    Args:
        wanted: `(num, channels, height, width)` in [-1, 1]; whatever stands in the holes is ignored.
        missing: `(num, 1, height, width)`, 1 in the holes.
        discriminator: None to leave out the prior.
        prior: its weight (0.003 in the paper).
    """
    weights = context_weights(missing)

    def loss(samples: Tensor, picture: Tensor, labels: Tensor | None) -> Tensor:
        value = context_loss(samples, wanted[picture], weights[picture])
        if discriminator is not None and prior > 0:
            value = value + prior * prior_loss(discriminator, samples, labels)
        return value

    return loss


def projection_loss(wanted: Tensor) -> Callable[[Tensor, Tensor, Tensor | None], Tensor]:
    """Mean squared difference of all pixels, for `search`.

    Args:
        wanted: `(num, channels, height, width)` in [-1, 1].
    """

    def loss(samples: Tensor, picture: Tensor, labels: Tensor | None) -> Tensor:
        return (samples - wanted[picture]).square().flatten(1).mean(dim=1)

    return loss


def paste(samples: Tensor, wanted: Tensor, missing: Tensor) -> Tensor:
    """Known pixels as they are, the holes from the samples."""
    return torch.where(missing > 0.5, samples, wanted)
