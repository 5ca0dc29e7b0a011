"""Parts of the picture are missing, for inpainting. What is missing is 0, the middle of the range."""

from typing import Annotated

import torch
from pydantic import Field
from torch import Tensor

from ganforge.degradations.base import Degradation
from ganforge.registry import register
from ganforge.spec import DataSpec

Share = Annotated[float, Field(gt=0, lt=1)]


@register.degradation("box")
class Box(Degradation):
    """A box is missing, in the middle or anywhere (Pathak et al. 2016, section 3.3).

    Pictures `(batch, channels, height, width)` keep their shape.

    Args:
        spec: of the pictures that come in.
        share: of each side that the box takes.
        anywhere: put it at a random place, which is the same for a picture's place in the data; by default it is in
            the middle.
    """

    numbers = 2

    def __init__(self, spec: DataSpec, *, share: Share = 0.5, anywhere: bool = False) -> None:
        super().__init__(spec)
        self.share = share
        self.anywhere = anywhere

    def forward(self, pictures: Tensor, numbers: Tensor) -> Tensor:
        is_missing = pictures.new_ones((), dtype=torch.bool)
        for dim, number in ((2, numbers[:, 0]), (3, numbers[:, 1])):
            size = pictures.shape[dim]
            length = max(1, round(self.share * size))
            first = (
                (number * (size - length + 1)).floor()
                if self.anywhere
                else torch.full_like(number, (size - length) // 2)
            )
            place = torch.arange(size, device=pictures.device)
            inside = (place >= first[:, None]) & (place < first[:, None] + length)
            is_missing = is_missing & (inside[:, None, :, None] if dim == 2 else inside[:, None, None, :])
        return pictures.masked_fill(is_missing, 0.0)


@register.degradation("strokes")
class Strokes(Degradation):
    """Strokes of a thick pen are missing, between random points (after the free-form masks of Yu et al. 2019).

    Pictures `(batch, channels, height, width)` keep their shape.

    Args:
        spec: of the pictures that come in.
        count: strokes on each picture.
        thickness: of a stroke, as a share of the shorter side.
    """

    def __init__(
        self, spec: DataSpec, *, count: Annotated[int, Field(ge=1, le=64)] = 4, thickness: Share = 0.1
    ) -> None:
        super().__init__(spec)
        self.count = count
        self.thickness = thickness
        self.numbers = 4 * count

    def forward(self, pictures: Tensor, numbers: Tensor) -> Tensor:
        height, width = pictures.shape[2:]
        rows = torch.arange(height, device=pictures.device, dtype=torch.float32)[:, None] + 0.5
        columns = torch.arange(width, device=pictures.device, dtype=torch.float32)[None, :] + 0.5
        radius = 0.5 * self.thickness * min(height, width)
        is_missing = torch.zeros(len(pictures), height, width, dtype=torch.bool, device=pictures.device)
        for ends in numbers.float().view(len(pictures), self.count, 4).unbind(dim=1):
            top, left, bottom, right = (
                (ends[:, index] * (height if index % 2 == 0 else width))[:, None, None] for index in range(4)
            )
            down, across = bottom - top, right - left
            along = ((rows - top) * down + (columns - left) * across) / (down**2 + across**2).clamp_min(1e-6)
            along = along.clamp(0, 1)
            distance = (rows - top - along * down) ** 2 + (columns - left - along * across) ** 2
            is_missing |= distance <= radius**2
        return pictures.masked_fill(is_missing[:, None], 0.0)
