"""The twelve changes of ADA, each applied to a picture with the same probability (Karras et al. 2020, appendix B).

Geometry is collected in one matrix a picture and looked up once, colour in another. Where the paper filters with
wavelets around the look-up, this is bilinear.
"""

import math
from collections.abc import Callable, Collection
from typing import Literal

import torch
from torch import Tensor

from ganforge.augment.geometry import rotation
from ganforge.augment.resample import matrices, resample

Change = Literal[
    "flip", "quarter_turn", "shift", "scale", "rotation", "stretch", "drift",
    "brightness", "contrast", "luma_flip", "hue", "saturation",
]  # fmt: skip
GEOMETRY: tuple[Change, ...] = ("flip", "quarter_turn", "shift", "scale", "rotation", "stretch", "drift")
COLOUR: tuple[Change, ...] = ("brightness", "contrast", "luma_flip", "hue", "saturation")

SHIFT = 0.125
"""Largest shift by whole pixels, and standard deviation of the one by fractions, as shares of the picture."""


def augmented(pictures: Tensor, probability: Tensor, policy: Collection[str]) -> Tensor:
    """Pictures after the changes of the policy, each with that probability for each picture.

    Args:
        pictures: `(batch, channels, height, width)`.
        probability: scalar in [0, 1]; at 0 the result is exactly the pictures.
        policy: names of changes; the order is the paper's.
    """
    if any(name in policy for name in GEOMETRY):
        pictures = resample(pictures, geometry(pictures, probability, policy), "reflect")
    if any(name in policy for name in COLOUR):
        pictures = recoloured(pictures, colour(pictures, probability, policy))
    return pictures


def geometry(pictures: Tensor, probability: Tensor, policy: Collection[str]) -> Tensor:
    """From the pixels of the result to those of the source, `(batch, 3, 3)`."""
    height, width = pictures.shape[2:]
    draw = _Draw(pictures)
    rotate = 1 - (1 - probability).sqrt()  # twice, so that a picture is left unturned with 1 - probability

    def turned(chance: Tensor) -> Tensor:
        return draw.maybe(chance, rotation(draw.uniform(-math.pi, math.pi)))

    steps: dict[str, Callable[[], Tensor]] = {
        "flip": lambda: draw.maybe(probability, _scaled(1 - 2 * draw.whole(2), draw.one)),
        "quarter_turn": lambda: draw.maybe(probability, _quarter_turns(draw.whole(4), is_square=width == height)),
        "shift": lambda: draw.maybe(probability, _moved(draw.whole_shift(width), draw.whole_shift(height))),
        "scale": lambda: draw.maybe(probability, _scaled(*[torch.exp2(draw.normal(0.2))] * 2)),
        "before": lambda: turned(rotate),
        "stretch": lambda: draw.maybe(probability, _stretched(torch.exp2(draw.normal(0.2)))),
        "after": lambda: turned(rotate),
        "drift": lambda: draw.maybe(probability, _moved(draw.normal(SHIFT) * width, draw.normal(SHIFT) * height)),
    }
    total = draw.identity(3)
    for name, matrix in steps.items():
        if name in policy or (name in ("before", "after") and "rotation" in policy):
            total = composed(total, matrix())
    return total


def colour(pictures: Tensor, probability: Tensor, policy: Collection[str]) -> Tensor:
    """From the colours of the source to those of the result: `(batch, channels + 1, channels + 1)`.

    Grey is the axis along which all channels are equal, whatever their number; hue turns about it and is for three.
    """
    channels = pictures.shape[1]
    draw = _Draw(pictures)
    same = draw.identity(channels + 1)
    grey = torch.zeros_like(same)
    grey[:, :channels, :channels] = 1 / channels
    spatial = same.clone()
    spatial[:, channels, channels] = 0  # the channels alone, without the constant
    constant = same - spatial

    def brighter() -> Tensor:
        matrix = same.clone()
        matrix[:, :channels, channels] = draw.normal(0.2)[:, None]
        return matrix

    def hue() -> Tensor:
        angle = draw.uniform(-math.pi, math.pi)[:, None, None]
        cross = torch.zeros_like(same)  # the cross product with the grey axis
        for row, column, sign in ((0, 1, -1), (0, 2, 1), (1, 0, 1), (1, 2, -1), (2, 0, -1), (2, 1, 1)):
            cross[:, row, column] = sign / math.sqrt(3)
        return angle.cos() * spatial + angle.sin() * cross + (1 - angle.cos()) * grey + constant

    steps: dict[str, Callable[[], Tensor]] = {
        "brightness": brighter,
        "contrast": lambda: torch.exp2(draw.normal(0.5))[:, None, None] * spatial + constant,
        "luma_flip": lambda: same - 2 * draw.whole(2)[:, None, None] * grey,
        "hue": hue,
        "saturation": lambda: grey + (spatial - grey) * torch.exp2(draw.normal(1.0))[:, None, None] + constant,
    }
    total = same
    for name, matrix in steps.items():
        if name in policy and (name != "hue" or channels == 3):
            total = composed(draw.maybe(probability, matrix()), total)
    return total


def recoloured(pictures: Tensor, matrix: Tensor) -> Tensor:
    """Each pixel's channels, and a one, times the picture's matrix.

    Computed as a sum of products, because autocast and TF32 would round a matrix product.
    """
    matrix = matrix.to(pictures.dtype)[..., None, None]
    channels = pictures.shape[1]
    total = matrix[:, :channels, channels].expand_as(pictures)
    for channel in range(channels):
        total = total + matrix[:, :channels, channel] * pictures[:, channel : channel + 1]
    return total


def composed(first: Tensor, second: Tensor) -> Tensor:
    """Matrix products `(batch, n, n)`, also unrounded by autocast and TF32."""
    return (first[:, :, :, None] * second[:, None, :, :]).sum(dim=2)


class _Draw:
    """Random numbers, one a picture, in float32 or wider."""

    def __init__(self, pictures: Tensor) -> None:
        dtype = torch.promote_types(pictures.dtype, torch.float32)
        self.one = torch.ones(len(pictures), dtype=dtype, device=pictures.device)

    def uniform(self, low: float, high: float) -> Tensor:
        return torch.empty_like(self.one).uniform_(low, high)

    def normal(self, sigma: float) -> Tensor:
        return sigma * torch.randn_like(self.one)

    def whole(self, count: int) -> Tensor:
        """0 to count - 1, all equally likely."""
        return torch.randint(count, self.one.shape, device=self.one.device).to(self.one.dtype)

    def whole_shift(self, size: int) -> Tensor:
        """A share of the picture drawn evenly up to the largest, then rounded: the outer pixels come half as often."""
        return (self.uniform(-SHIFT, SHIFT) * size).round()

    def identity(self, size: int) -> Tensor:
        return torch.eye(size, dtype=self.one.dtype, device=self.one.device).repeat(len(self.one), 1, 1)

    def maybe(self, chance: Tensor, matrix: Tensor) -> Tensor:
        """The matrix with that probability, else the identity."""
        is_on = torch.rand_like(self.one) < chance
        return torch.where(is_on[:, None, None], matrix, self.identity(matrix.shape[1]))


def _scaled(along_x: Tensor, along_y: Tensor) -> Tensor:
    return matrices(((along_x, 0.0, 0.0), (0.0, along_y, 0.0), (0.0, 0.0, 1.0)), along_x)


def _stretched(factor: Tensor) -> Tensor:
    return _scaled(factor, 1 / factor)


def _moved(right: Tensor, down: Tensor) -> Tensor:
    return matrices(((1.0, 0.0, right), (0.0, 1.0, down), (0.0, 0.0, 1.0)), right)


def _quarter_turns(turns: Tensor, *, is_square: bool) -> Tensor:
    """Exact, so that no pixel is interpolated; a picture that is not square is turned by half or not at all."""
    if not is_square:
        turns = 2 * (turns % 2)
    cosine, sine = 1 - turns, 2 - turns
    cosine, sine = cosine * (turns % 2 == 0), sine * (turns % 2 == 1)
    return matrices(((cosine, -sine, 0.0), (sine, cosine, 0.0), (0.0, 0.0, 1.0)), turns)
