"""What an augmentation is.

It maps samples `(batch, *spec.shape)` to the same shape and is twice differentiable, so that gradients (and the
gradients of a gradient penalty) pass through it. Real and fake samples go through the same module, each with
draws of its own, so both are changed in the same distribution. Only training uses it: grids and metrics
see the generator's own samples.
"""

import math
from abc import abstractmethod
from collections.abc import Callable
from typing import Annotated

import torch
from pydantic import Field
from torch import Tensor, nn

from ganforge.spec import DataSpec

Probability = Annotated[float, Field(ge=0, le=1)]
Share = Annotated[float, Field(gt=0, le=1)]


class Augmentation(nn.Module):
    """A module between samples and the discriminator that may watch the game. What it remembers is in its buffers.

    Any `nn.Module` can be an augmentation; this class adds the hooks of one that adapts during training.
    """

    needs_boundary_at_zero: bool = False
    """Whether it goes by the sign of D's logits, which not every objective gives a meaning."""

    def observe(self, real_logits: Tensor) -> None:
        """Called after each micro-batch of the discriminator's turn; must not wait for the device.

        Args:
            real_logits: the discriminator's logits on augmented real samples, `(batch,)`, detached.
        """

    def adapt(self, average: Callable[[Tensor], Tensor], step: int, batch_size: int) -> None:
        """Called after every step, on all ranks together.

        Args:
            average: the mean of a tensor over all ranks; it costs a collective, so it is to be called rarely.
            step: number of the step that has just ended.
            batch_size: samples in one turn over all ranks.
        """

    def figures(self) -> dict[str, Tensor]:
        """Scalars for the log, on the device."""
        return {}


class PictureChange(Augmentation):
    """Changes each picture independently with a probability, without looping over samples or waiting for the device.

    Args:
        spec: what a sample looks like.
        probability: of a change, for each picture independently; 0 leaves every picture exactly as it is.

    Raises:
        ValueError: the samples are no pictures.
    """

    def __init__(self, spec: DataSpec, *, probability: float) -> None:
        super().__init__()
        require_pictures(spec)
        self.probability = probability

    @abstractmethod
    def change(self, pictures: Tensor) -> Tensor:
        """All pictures changed, `(batch, channels, height, width)`, each with draws of its own."""

    def forward(self, pictures: Tensor) -> Tensor:
        if self.probability == 0:
            return pictures
        return torch.where(chance(self.probability, pictures), self.change(pictures), pictures)


def require_pictures(spec: DataSpec) -> None:
    """Refuse points.

    Raises:
        ValueError: the samples are no pictures.
    """
    if not spec.is_image:
        raise ValueError(
            f"changes pictures, but the samples are {spec}; of the augmentations, instance_noise fits them"
        )


def chance(probability: float | Tensor, pictures: Tensor) -> Tensor:
    """Independent yes or no for each picture, bool `(batch, 1, 1, 1)`: never at 0, always at 1."""
    return per_picture(torch.rand(len(pictures), device=pictures.device) < probability)


def per_picture(values: Tensor) -> Tensor:
    """`(batch,)` as `(batch, 1, 1, 1)`, to be broadcast over pictures."""
    return values.view(-1, 1, 1, 1)


def pixels(share: float, size: int) -> int:
    """Whole pixels of a share of a side; half a pixel is one, as in DiffAugment's code, and not the nearest even."""
    return math.floor(share * size + 0.5)


def uniform(pictures: Tensor, low: float, high: float) -> Tensor:
    """One number in [low, high) a picture, `(batch, 1, 1, 1)`, of the pictures' type."""
    return torch.empty((len(pictures), 1, 1, 1), dtype=pictures.dtype, device=pictures.device).uniform_(low, high)
