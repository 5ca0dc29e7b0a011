"""Noise and compression: what denoising and restoring start from."""

import math
from typing import Annotated

import torch
from pydantic import Field
from torch import Tensor
from torch.nn import functional

from ganforge.degradations.base import Degradation
from ganforge.registry import register
from ganforge.spec import DataSpec

_STEP = -0x61C8864680B583EB
_ROUNDS = ((-0x40A7B892E31B1A47, 30), (-0x6B2FB644ECCEEE15, 27))
"""Of SplitMix64 (Steele, Lea and Flood 2014): its increment, and its multipliers with the shift before each, signed."""


def hashed(numbers: Tensor, count: int) -> Tensor:
    """Numbers in (0, 1), `(batch, count)` float32, hashed from a picture's number in [0, 1) and their place."""
    key = (numbers * 2.0**53).to(torch.int64)[:, None]
    values = torch.arange(1, count + 1, dtype=torch.int64, device=numbers.device) + key * _ROUNDS[0][0]
    values = values * _STEP
    for multiplier, shift in _ROUNDS:
        values = (values ^ _shifted(values, shift)) * multiplier
    values = values ^ _shifted(values, 31)
    return (_shifted(values, 40).float() + 0.5) * 2.0**-24


def _shifted(values: Tensor, by: int) -> Tensor:
    """To the right, without the sign: torch's own shift keeps it."""
    return (values >> by) & ((1 << (64 - by)) - 1)


@register.degradation("noise")
class Noise(Degradation):
    """Gaussian noise of a strength that is drawn for each picture, for denoising.

    Pictures `(batch, channels, height, width)` keep their shape. The noise of a picture depends on its place in the
    data alone: it is hashed, and no random state moves.

    Args:
        spec: of the pictures that come in.
        sigma: least and largest standard deviation, where the picture's range is 2; 50 of 255 is 0.39.

    Raises:
        ValueError: the least is above the largest, or below 0.
    """

    numbers = 2

    def __init__(self, spec: DataSpec, *, sigma: tuple[float, float] = (0.1, 0.4)) -> None:
        super().__init__(spec)
        self.sigma = sigma
        if not 0 <= sigma[0] <= sigma[1]:
            raise ValueError(f"sigma = {list(sigma)}: name the least standard deviation and then the largest")

    def forward(self, pictures: Tensor, numbers: Tensor) -> Tensor:
        sigma = self.sigma[0] + (self.sigma[1] - self.sigma[0]) * numbers[:, 0]
        count = pictures[0].numel()
        drawn = hashed(numbers[:, 1], 2 * count)
        normal = (-2.0 * drawn[:, :count].log()).sqrt() * torch.cos(2.0 * math.pi * drawn[:, count:])
        noise = normal.view(pictures.shape) * sigma.to(pictures.dtype)[:, None, None, None]
        return (pictures + noise).clamp(-1, 1)


_LUMINANCE = (
    16, 11, 10, 16, 24, 40, 51, 61, 12, 12, 14, 19, 26, 58, 60, 55, 14, 13, 16, 24, 40, 57, 69, 56, 14, 17, 22, 29, 51,
    87, 80, 62, 18, 22, 37, 56, 68, 109, 103, 77, 24, 35, 55, 64, 81, 104, 113, 92, 49, 64, 78, 87, 103, 121, 120, 101,
    72, 92, 95, 98, 112, 100, 103, 99,
)  # fmt: skip
_CHROMINANCE = (
    17, 18, 24, 47, 99, 99, 99, 99, 18, 21, 26, 66, 99, 99, 99, 99, 24, 26, 56, 99, 99, 99, 99, 99, 47, 66, 99, 99, 99,
    99, 99, 99, *(99,) * 32,
)  # fmt: skip
"""Steps of the 64 coefficients at quality 50 (ITU-T T.81, annex K.1), row by row."""

_TO_YCBCR = ((0.299, 0.587, 0.114), (-0.168736, -0.331264, 0.5), (0.5, -0.418688, -0.081312))


@register.degradation("jpeg")
class Jpeg(Degradation):
    """What JPEG loses at a quality that is drawn for each picture, for restoring (ITU-T T.81).

    Pictures `(batch, channels, height, width)` of one or three channels keep their shape: blocks of 8x8 are
    transformed, rounded to the steps of annex K.1 scaled as libjpeg does, and transformed back, colour at full
    resolution. No file is written, and nothing is rounded to bytes.

    Args:
        spec: of the pictures that come in.
        quality: least and largest quality, from 1 to 100.

    Raises:
        ValueError: the pictures have neither one nor three channels, or the qualities are out of order.
    """

    numbers = 1

    def __init__(
        self,
        spec: DataSpec,
        *,
        quality: tuple[Annotated[int, Field(ge=1, le=100)], Annotated[int, Field(ge=1, le=100)]] = (30, 95),
    ) -> None:
        super().__init__(spec)
        if spec.channels not in (1, 3):
            raise ValueError(f"JPEG is of grey and RGB pictures, and these are {spec}")
        if quality[0] > quality[1]:
            raise ValueError(f"quality = {list(quality)}: name the least and then the largest")
        self.quality = quality
        place = torch.arange(8, dtype=torch.float64)
        cosines = torch.cos((2 * place[None] + 1) * place[:, None] * math.pi / 16) / 2
        cosines[0] /= math.sqrt(2)
        self.register_buffer("cosines", cosines.float(), persistent=False)
        tables = [_LUMINANCE, *([_CHROMINANCE] * 2 if spec.channels == 3 else [])]
        self.register_buffer("tables", torch.tensor(tables).view(-1, 8, 8).float(), persistent=False)
        self.register_buffer("colours", torch.tensor(_TO_YCBCR), persistent=False)

    def forward(self, pictures: Tensor, numbers: Tensor) -> Tensor:
        cosines, tables, colours = self.get_buffer("cosines"), self.get_buffer("tables"), self.get_buffer("colours")
        least, largest = self.quality
        quality = (least + (largest - least + 1) * numbers[:, 0]).floor().float()
        scale = torch.where(quality < 50, 5000 / quality, 200 - 2 * quality)
        steps = ((tables * scale[:, None, None, None] + 50) / 100).floor().clamp(1, 255)[:, :, None, None]
        height, width = pictures.shape[2:]
        padded = functional.pad(pictures.float() * 127.5, [0, -width % 8, 0, -height % 8], mode="replicate")
        if len(tables) == 3:
            padded = torch.einsum("oc,bchw->bohw", colours, padded)
        blocks = padded.unfold(2, 8, 8).unfold(3, 8, 8)
        rounded = (cosines @ blocks @ cosines.T / steps).round() * steps
        made = (cosines.T @ rounded @ cosines).permute(0, 1, 2, 4, 3, 5).reshape(padded.shape)
        if len(tables) == 3:
            made = torch.einsum("oc,bchw->bohw", torch.linalg.inv(colours), made)
        return (made[:, :, :height, :width] / 127.5).clamp(-1, 1).to(pictures.dtype)
