"""Smaller, greyer, blurred, or only edges: what super-resolution, colourisation and drawing start from."""

from dataclasses import replace
from typing import Annotated, Literal

import torch
from pydantic import Field
from torch import Tensor
from torch.nn import functional

from ganforge.degradations.base import Degradation
from ganforge.registry import register
from ganforge.spec import DataSpec

LUMA = (0.299, 0.587, 0.114)
"""Shares of red, green and blue in grey (ITU-R BT.601)."""


@register.degradation("downsample")
class Downsample(Degradation):
    """Smaller pictures, for super-resolution.

    Pictures `(batch, channels, height, width)` lose a factor of both sides.

    Args:
        spec: of the pictures that come in.
        factor: by which both sides shrink; must divide them.
        method: `area` (means over squares of pixels), `bicubic` (with antialiasing, as most benchmarks of
            super-resolution) or `nearest` (one pixel of each square).

    Raises:
        ValueError: the factor does not divide the sides.
    """

    def __init__(
        self,
        spec: DataSpec,
        *,
        factor: Annotated[int, Field(ge=2, le=64)] = 4,
        method: Literal["area", "bicubic", "nearest"] = "area",
    ) -> None:
        super().__init__(spec)
        self.factor = factor
        self.method: Literal["area", "bicubic", "nearest"] = method
        if spec.height % factor or spec.width % factor:
            both = [size for size in range(2, 65) if spec.height % size == 0 and spec.width % size == 0]
            known = f"use one of {', '.join(map(str, both))}" if both else "cut or pack the pictures to other sides"
            raise ValueError(f"factor = {factor} does not divide {spec.height}x{spec.width}; {known}")
        self.spec = replace(spec, shape=(spec.channels, spec.height // factor, spec.width // factor))

    def forward(self, pictures: Tensor, numbers: Tensor) -> Tensor:
        if self.method == "area":
            return functional.avg_pool2d(pictures, self.factor)
        size = (pictures.shape[2] // self.factor, pictures.shape[3] // self.factor)
        if self.method == "nearest":
            return functional.interpolate(pictures, size=size)
        return functional.interpolate(pictures, size=size, mode="bicubic", antialias=True).clamp(-1, 1)


def grey_of(pictures: Tensor) -> Tensor:
    """Pictures of three channels to `(batch, 1, height, width)` by BT.601; of other numbers, their mean."""
    if pictures.shape[1] != 3:
        return pictures.mean(dim=1, keepdim=True)
    shares = torch.tensor(LUMA, dtype=pictures.dtype, device=pictures.device)
    return (pictures * shares[:, None, None]).sum(dim=1, keepdim=True)


@register.degradation("grey")
class Grey(Degradation):
    """Grey pictures, for colourisation.

    Pictures `(batch, 3, height, width)` to `(batch, 1, height, width)`, the luma of ITU-R BT.601.

    Args:
        spec: of the pictures that come in.

    Raises:
        ValueError: they are grey already.
    """

    def __init__(self, spec: DataSpec) -> None:
        super().__init__(spec)
        if spec.channels == 1:
            raise ValueError("the pictures are grey already; leave it out")
        self.spec = replace(spec, shape=(1, spec.height, spec.width))

    def forward(self, pictures: Tensor, numbers: Tensor) -> Tensor:
        return grey_of(pictures)


@register.degradation("blur")
class Blur(Degradation):
    """Blurred pictures: a Gaussian whose width is drawn for each picture.

    Pictures `(batch, channels, height, width)` keep their shape; the border is mirrored.

    Args:
        spec: of the pictures that come in.
        sigma: least and largest standard deviation in pixels.

    Raises:
        ValueError: the least is above the largest, or the pictures are smaller than the blur.
    """

    numbers = 1

    def __init__(self, spec: DataSpec, *, sigma: tuple[float, float] = (0.5, 2.0)) -> None:
        super().__init__(spec)
        self.sigma = sigma
        if not 0 < sigma[0] <= sigma[1]:
            raise ValueError(f"sigma = {list(sigma)}: name the least standard deviation, above 0, and then the largest")
        self.reach = max(1, round(3 * sigma[1]))
        if self.reach >= min(spec.height, spec.width):
            raise ValueError(f"sigma = {list(sigma)}: reaches {self.reach} pixels of {spec}; lower it")

    def forward(self, pictures: Tensor, numbers: Tensor) -> Tensor:
        sigma = self.sigma[0] + (self.sigma[1] - self.sigma[0]) * numbers[:, 0]
        places = torch.arange(-self.reach, self.reach + 1, device=pictures.device)
        window = torch.exp(-0.5 * (places / sigma[:, None]) ** 2)
        window = (window / window.sum(dim=1, keepdim=True)).to(pictures.dtype)
        batch, channels, height, width = pictures.shape
        padded = functional.pad(pictures, [self.reach] * 4, mode="reflect")
        kernel = window.repeat_interleave(channels, dim=0)[:, None]
        rows = padded.reshape(1, batch * channels, *padded.shape[2:])
        rows = functional.conv2d(rows, kernel[:, :, :, None], groups=batch * channels)
        rows = functional.conv2d(rows, kernel[:, :, None, :], groups=batch * channels)
        return rows.view(batch, channels, height, width)


@register.degradation("edges")
class Edges(Degradation):
    """Edges of the grey picture, dark on light, as a pencil would draw them.

    Pictures `(batch, channels, height, width)` to `(batch, 1, height, width)`: the length of the gradient by Sobel's
    operator, times `strength`; 1 is no edge.

    Args:
        spec: of the pictures that come in.
        strength: multiplies the gradient; where it reaches the picture's whole range an edge is black.
    """

    def __init__(self, spec: DataSpec, *, strength: Annotated[float, Field(gt=0)] = 1.0) -> None:
        super().__init__(spec)
        self.strength = strength
        self.spec = replace(spec, shape=(1, spec.height, spec.width))

    def forward(self, pictures: Tensor, numbers: Tensor) -> Tensor:
        grey = functional.pad(grey_of(pictures), [1] * 4, mode="replicate")
        smooth = grey.new_tensor([1.0, 2.0, 1.0]) / 4
        slope = grey.new_tensor([-1.0, 0.0, 1.0]) / 2
        kernels = torch.stack([smooth[:, None] * slope, slope[:, None] * smooth])[:, None]
        length = functional.conv2d(grey, kernels).square().sum(dim=1, keepdim=True).sqrt()
        return (1.0 - 2.0 * self.strength * length).clamp(-1, 1)
