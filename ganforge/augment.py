"""What happens to pictures, real and fake alike, on their way to the discriminator.

An augmentation maps `(batch, channels, height, width)` in [-1, 1] to the same shape, differentiably,
so that gradients reach the generator through it. Only the training looks through it: samples and
metrics see the generator's own pictures.
"""

from typing import Annotated

import torch
from pydantic import Field
from torch import Tensor, nn

from ganforge.registry import register
from ganforge.spec import DataSpec


@register.augment("instance_noise")
class InstanceNoise(nn.Module):
    """Gaussian noise on everything the discriminator sees (Sønderby et al. 2017, section 4).

    Args:
        spec: what a sample looks like.
        sigma: standard deviation of the noise, in units of the samples (pictures span -1 to 1).
    """

    def __init__(self, spec: DataSpec, *, sigma: Annotated[float, Field(ge=0)] = 0.1) -> None:
        super().__init__()
        self.sigma = sigma

    def forward(self, samples: Tensor) -> Tensor:
        return samples + self.sigma * torch.randn_like(samples) if self.sigma > 0 else samples
