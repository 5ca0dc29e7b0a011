"""Noise on everything that the discriminator sees."""

from typing import Annotated

import torch
from pydantic import Field
from torch import Tensor

from ganforge.augment.base import Augmentation
from ganforge.registry import register
from ganforge.spec import DataSpec


@register.augment("instance_noise")
class InstanceNoise(Augmentation):
    """Gaussian noise on everything the discriminator sees (Sønderby et al. 2017, section 4).

    It blurs both distributions until they overlap, so that D always has something to be unsure of. To anneal it as
    in the paper, let a ramp lower `sigma`; with `augment = ["instance_noise"]`, over the first 200,000 images:

        [[ramps]]
        option = "augment.0.sigma"
        start = 0.3
        end = 0.0
        over = 200000

    Args:
        spec: what a sample looks like; pictures or points.
        sigma: standard deviation of the noise, in units of the samples (pictures span -1 to 1).
    """

    def __init__(self, spec: DataSpec, *, sigma: Annotated[float, Field(ge=0)] = 0.1) -> None:
        super().__init__()
        self.sigma = sigma

    def forward(self, samples: Tensor) -> Tensor:
        return samples + self.sigma * torch.randn_like(samples) if self.sigma > 0 else samples
