"""An augmentation: what real and fake samples go through on their way to the discriminator."""

import torch
from torch import Tensor

from ganforge import DataSpec, register
from ganforge.augment.base import PictureChange, Probability


@register.augment("pixel_dropout")
class PixelDropout(PictureChange):
    """Sets single pixels to zero, the middle of the range (dropout of the input, Srivastava et al. 2014).

    Args:
        spec: what a sample looks like.
        probability: of a change, for each picture.
        share: of the pixels of a changed picture.
    """

    def __init__(self, spec: DataSpec, *, probability: Probability = 1.0, share: Probability = 0.1) -> None:
        super().__init__(spec, probability=probability)
        self.share = share

    def change(self, pictures: Tensor) -> Tensor:
        batch, _, height, width = pictures.shape
        kept = torch.rand(batch, 1, height, width, device=pictures.device) >= self.share
        return pictures * kept
