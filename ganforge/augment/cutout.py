"""A hole in every picture."""

import torch
from torch import Tensor

from ganforge.augment.base import PictureChange, Probability, Share, per_picture, pixels
from ganforge.registry import register
from ganforge.spec import DataSpec


@register.augment("cutout")
class Cutout(PictureChange):
    """Sets a rectangle of each picture to zero, the middle of the range (DeVries and Taylor 2017; Zhao et al. 2020).

    Its centre is equally likely anywhere, so near an edge less is cut, as in DiffAugment.

    Args:
        spec: what a sample looks like; must be pictures.
        probability: of a hole, for each picture independently.
        ratio: height and width of the hole, as shares of the picture's; 0.5 in DiffAugment.
    """

    def __init__(self, spec: DataSpec, *, probability: Probability = 1.0, ratio: Share = 0.5) -> None:
        super().__init__(spec, probability=probability)
        self.ratio = ratio

    def change(self, pictures: Tensor) -> Tensor:
        _, _, height, width = pictures.shape
        is_cut = self._covered(pictures, height)[:, None, :, None] & self._covered(pictures, width)[:, None, None, :]
        return pictures.masked_fill(is_cut, 0)

    def _covered(self, pictures: Tensor, size: int) -> Tensor:
        """Whether the hole is over each row, or column: bool `(batch, size)`."""
        length = max(1, pixels(self.ratio, size))
        # A hole of even length has its centre between two pixels: one more place for it.
        centre = torch.randint(0, size + 1 - length % 2, (len(pictures),), device=pictures.device)
        first = per_picture(centre - length // 2).view(-1, 1)
        position = torch.arange(size, device=pictures.device)
        return (position >= first) & (position < first + length)
