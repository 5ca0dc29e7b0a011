"""Brightness, saturation and contrast."""

from typing import Annotated

from pydantic import Field
from torch import Tensor

from ganforge.augment.base import PictureChange, Probability, uniform
from ganforge.registry import register
from ganforge.spec import DataSpec

Strength = Annotated[float, Field(ge=0, le=2)]


@register.augment("color")
class Color(PictureChange):
    """Brightness, saturation and contrast of each picture at random (DiffAugment, Zhao et al. 2020, appendix).

    The paper's choices are the defaults: brightness is moved by up to 0.5, saturation multiplied by 0 to 2 and contrast
    by 0.5 to 1.5. Values may leave [-1, 1], as in the paper. Grey pictures have no saturation to change.

    Args:
        spec: what a sample looks like; must be pictures.
        probability: of a change, for each picture independently.
        brightness: most that is added to, or taken off, all values.
        saturation: half the width of the factor around 1 on each pixel's distance from its own grey.
        contrast: half the width of the factor around 1 on each value's distance from the picture's mean.
    """

    def __init__(
        self,
        spec: DataSpec,
        *,
        probability: Probability = 1.0,
        brightness: Strength = 0.5,
        saturation: Strength = 1.0,
        contrast: Strength = 0.5,
    ) -> None:
        super().__init__(spec, probability=probability)
        self.brightness = brightness
        self.saturation = saturation
        self.contrast = contrast

    def change(self, pictures: Tensor) -> Tensor:
        pictures = pictures + uniform(pictures, -self.brightness, self.brightness)
        grey = pictures.mean(dim=1, keepdim=True)
        pictures = grey + (pictures - grey) * uniform(pictures, 1 - self.saturation, 1 + self.saturation)
        mean = pictures.mean(dim=(1, 2, 3), keepdim=True)
        return mean + (pictures - mean) * uniform(pictures, 1 - self.contrast, 1 + self.contrast)
