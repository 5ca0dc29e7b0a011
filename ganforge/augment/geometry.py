"""Flips, rotations and shifts."""

import math
from typing import Annotated

import torch
from pydantic import Field
from torch import Tensor

from ganforge.augment.base import PictureChange, Probability, Share, pixels
from ganforge.augment.resample import Padding, matrices, resample
from ganforge.registry import register
from ganforge.spec import DataSpec


@register.augment("flip")
class Flip(PictureChange):
    """Mirrors pictures left to right (as in AlexNet, Krizhevsky et al. 2012, section 4.1).

    Unlike flips in the loader it mirrors fakes as well, so the generator need not learn the mirrored world: right for
    letters and digits only with a small probability, or not at all.

    Args:
        spec: what a sample looks like; must be pictures.
        probability: of a flip, for each picture independently.
    """

    def __init__(self, spec: DataSpec, *, probability: Probability = 0.5) -> None:
        super().__init__(spec, probability=probability)

    def change(self, pictures: Tensor) -> Tensor:
        return pictures.flip(-1)


@register.augment("rotate")
class Rotate(PictureChange):
    """Turns each picture about its centre by a random angle, bilinearly (as in ADA, Karras et al. 2020, appendix B).

    Args:
        spec: what a sample looks like; must be pictures.
        probability: of a rotation, for each picture independently.
        degrees: largest angle to either side; all up to it are equally likely.
        padding: what comes in over the edges: `zeros` (the middle of the range), or the picture, reflected.
    """

    def __init__(
        self,
        spec: DataSpec,
        *,
        probability: Probability = 1.0,
        degrees: Annotated[float, Field(ge=0, le=180)] = 10.0,
        padding: Padding = "reflect",
    ) -> None:
        super().__init__(spec, probability=probability)
        self.degrees = degrees
        self.padding: Padding = padding

    def change(self, pictures: Tensor) -> Tensor:
        dtype = torch.promote_types(pictures.dtype, torch.float32)
        angle = torch.empty(len(pictures), dtype=dtype, device=pictures.device).uniform_(-1, 1)
        return resample(pictures, rotation(angle * math.radians(self.degrees)), self.padding)


@register.augment("translate")
class Translate(PictureChange):
    """Shifts each picture by whole pixels, as a crop at random from a padded one (DiffAugment, Zhao et al. 2020).

    Args:
        spec: what a sample looks like; must be pictures.
        probability: of a shift, for each picture independently.
        ratio: largest shift to any side, as a share of height and of width; 0.125 in the paper.
        padding: what comes in over the edges: `zeros` (the middle of the range, as in the paper), or the picture,
            reflected, as in crops from a reflected border.
    """

    def __init__(
        self, spec: DataSpec, *, probability: Probability = 1.0, ratio: Share = 0.125, padding: Padding = "zeros"
    ) -> None:
        super().__init__(spec, probability=probability)
        self.ratio = ratio
        self.padding: Padding = padding

    def change(self, pictures: Tensor) -> Tensor:
        batch, _, height, width = pictures.shape
        down = whole_shift(batch, pixels(self.ratio, height), pictures.device)
        right = whole_shift(batch, pixels(self.ratio, width), pictures.device)
        return shifted(shifted(pictures, down, 2, self.padding), right, 3, self.padding)


def whole_shift(batch: int, largest: int, device: torch.device) -> Tensor:
    """A whole number in [-largest, largest] a picture, int64 `(batch,)`."""
    return torch.randint(-largest, largest + 1, (batch,), device=device)


def shifted(pictures: Tensor, shift: Tensor, dim: int, padding: Padding) -> Tensor:
    """Pictures moved along height (`dim` 2) or width (3) by their own whole number of pixels, int64 `(batch,)`."""
    size = pictures.shape[dim]
    source = torch.arange(size, device=pictures.device) - shift[:, None]  # (batch, size)
    is_inside = (source >= 0) & (source < size)
    if padding == "reflect" and size > 1:
        source = source.remainder(2 * (size - 1))
        source = torch.minimum(source, 2 * (size - 1) - source)
    along = (slice(None), None, slice(None), None) if dim == 2 else (slice(None), None, None, slice(None))
    moved = torch.take_along_dim(pictures, source.clamp(0, size - 1)[along], dim)
    return moved * is_inside[along].to(pictures.dtype) if padding == "zeros" else moved


def rotation(angle: Tensor) -> Tensor:
    """Matrices `(batch, 3, 3)` of rotations by angles in radians, `(batch,)`."""
    cosine, sine = angle.cos(), angle.sin()
    return matrices(((cosine, -sine, 0.0), (sine, cosine, 0.0), (0.0, 0.0, 1.0)), angle)
