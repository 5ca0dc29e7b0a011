"""R3GAN: "The GAN is dead; long live the GAN! A Modern GAN Baseline" (Huang, Gokaslan, Kuleshov, Tompkin 2024)."""

import math
from itertools import pairwise
from typing import Annotated, Literal

import torch
from pydantic import Field
from torch import Tensor, nn

from ganforge.models.conditioning import LabelledLatent, Projection, num_classes_for
from ganforge.models.resampling import BlurDownsample, BlurUpsample
from ganforge.models.sizes import Maps, Size, maps_of
from ganforge.registry import register
from ganforge.spec import DataSpec

SLOPE = 0.2
GAIN = math.sqrt(2 / (1 + SLOPE**2))
"""Keeps the variance through a leaky ReLU (He et al. 2015)."""

Width = Annotated[int, Field(ge=1, le=65_536)]
Blocks = Annotated[int, Field(ge=1, le=1000)]
Expansion = Annotated[int, Field(ge=1, le=1024)]
GroupWidth = Annotated[int, Field(ge=1, le=65_536)]
FullWidthTo = Annotated[int, Field(ge=4, le=65_536)]


@register.generator("r3gan")
class R3GANGenerator(nn.Module):
    """Residual blocks of grouped convolutions, without normalisation, to a picture (R3GAN, Huang et al. 2024).

    The latent weighs learned maps of 4x4 (the basis; 3x5 for pictures of 48x80); each stage doubles the map by bilinear
    interpolation and adds `blocks` residuals of a 1x1 convolution to `expansion` times the channels, a grouped one of
    3x3 and a 1x1 back, with leaky ReLU 0.2 and biases between them. As in Fixup (Zhang et al. 2019) each residual
    starts at 0. In: latent `(batch, latent_dim)`. Out: pictures `(batch, channels, height, width)` of any size whose
    halvings, rounded up, end at sides of 2 to 8.

    The defaults are the published networks for CIFAR-10, FFHQ at 64x64 and FFHQ at 256x256, except that these end in a
    linear layer (`output = "linear"`). Those for ImageNet have `width = 1536, group_width = 32, full_width_to = 64`.

    Args:
        spec: what a sample looks like: a picture.
        latent_dim: dimension of the latent vector, N(0, 1).
        width: channels of maps up to `full_width_to`; each larger map has half of the one before.
        full_width_to: side of the largest map of full width, by the square picture of as many stages.
        blocks: residual blocks a stage.
        expansion: hidden channels of a block over its own.
        group_width: hidden channels in a group of the grouped convolution; a narrow block is one group.
        output: `tanh`, or the published `linear`, whose pixels may leave [-1, 1] until they are shown or measured.
        conditional: how labels are looked at: not at all (`none`), or by a learned vector of the class, as long as the
            latent and appended to it (`embedding`, the published way).

    Raises:
        ValueError: the samples are not pictures, or too long or small ones, or have no labels though `conditional`
            needs them, or hidden channels do not divide into groups.
    """

    def __init__(
        self,
        spec: DataSpec,
        *,
        latent_dim: Annotated[int, Field(ge=1, le=65_536)] = 64,
        width: Width = 768,
        full_width_to: FullWidthTo = 32,
        blocks: Blocks = 2,
        expansion: Expansion = 2,
        group_width: GroupWidth = 16,
        output: Literal["tanh", "linear"] = "tanh",
        conditional: Literal["none", "embedding"] = "none",
    ) -> None:
        super().__init__()
        self.latent_dim = latent_dim
        num_classes = num_classes_for(spec, conditional)
        maps = maps_of(spec, "r3gan")
        widths = stage_widths(maps, width, full_width_to)
        depth = blocks * len(widths)
        self.labelled = LabelledLatent(num_classes, latent_dim) if conditional == "embedding" else None
        self.basis = GenerativeBasis(latent_dim if self.labelled is None else 2 * latent_dim, widths[0], maps.start)
        stages = [residuals(widths[0], blocks, depth, expansion, group_width)]
        for level, (before, after) in enumerate(pairwise(widths), start=1):
            fewer = [pointwise(before, after)] if before != after else []
            blocks_after = residuals(after, blocks, depth, expansion, group_width)
            stages.append(nn.Sequential(*fewer, BlurUpsample(maps.odd(level)), *blocks_after))
        self.stages = nn.Sequential(*stages)
        last = [nn.Tanh()] if output == "tanh" else []
        self.output = nn.Sequential(pointwise(widths[-1], spec.channels), *last)

    def forward(self, latent: Tensor, labels: Tensor | None = None) -> Tensor:
        """Latents `(batch, latent_dim)` to pictures `(batch, channels, height, width)`."""
        if self.labelled is not None:
            latent = self.labelled(latent, labels)
        return self.output(self.stages(self.basis(latent)))


@register.discriminator("r3gan")
class R3GANDiscriminator(nn.Module):
    """Residual blocks of grouped convolutions, without normalisation, to one logit (R3GAN, Huang et al. 2024).

    The generator's mirror image: a 1x1 convolution, stages of `blocks` residuals and a low-pass filter that halves the
    map, then a learned weighing of the last 4x4 map, channel by channel, and a linear layer. In: pictures `(batch,
    channels, height, width)` in [-1, 1] of any size whose halvings, rounded up, end at sides of 2 to 8. Out: logits
    `(batch,)`, no sigmoid. It belongs with the objective `relativistic` and the penalties `r1` and `r2`. The
    defaults are the published networks for CIFAR-10, FFHQ at 64x64 and FFHQ at 256x256.

    Args:
        spec: what a sample looks like: a picture.
        width: channels of maps up to `full_width_to`; each larger map has half of the one before.
        full_width_to: side of the largest map of full width, by the square picture of as many stages.
        blocks: residual blocks a stage.
        expansion: hidden channels of a block over its own.
        group_width: hidden channels in a group of the grouped convolution; a narrow block is one group.
        conditional: how labels are looked at: not at all (`none`), or by a last layer of `width` features, whose inner
            product with a learned vector of the class is the logit (`projection`, the published way).

    Raises:
        ValueError: the samples are not pictures, or too long or small ones, or have no labels though `conditional`
            needs them, or hidden channels do not divide into groups.
    """

    def __init__(
        self,
        spec: DataSpec,
        *,
        width: Width = 768,
        full_width_to: FullWidthTo = 32,
        blocks: Blocks = 2,
        expansion: Expansion = 2,
        group_width: GroupWidth = 16,
        conditional: Literal["none", "projection"] = "none",
    ) -> None:
        super().__init__()
        num_classes = num_classes_for(spec, conditional)
        maps = maps_of(spec, "r3gan")
        widths = list(reversed(stage_widths(maps, width, full_width_to)))
        depth = blocks * len(widths)
        self.input = pointwise(spec.channels, widths[0])
        stages = []
        for level, (before, after) in zip(range(maps.doublings, 0, -1), pairwise(widths), strict=True):
            more = [pointwise(before, after)] if before != after else []
            blocks_before = residuals(before, blocks, depth, expansion, group_width)
            stages.append(nn.Sequential(*blocks_before, BlurDownsample(maps.odd(level)), *more))
        stages.append(residuals(widths[-1], blocks, depth, expansion, group_width))
        self.stages = nn.Sequential(*stages)
        self.projection = None
        if conditional == "projection":
            self.projection = Projection(num_classes, widths[-1])
            first_weights(self.projection.classes.weight, num_classes, 1 / math.sqrt(widths[-1]))
        self.basis = DiscriminativeBasis(widths[-1], 1 if self.projection is None else widths[-1], maps.start)

    def blocks_from_samples(self) -> list[tuple[nn.Module, ...]]:
        """What `training.freeze` counts: stages of one size of map, the first with the layer before it."""
        return [(self.input, self.stages[0]), *((stage,) for stage in self.stages[1:])]

    def forward(self, samples: Tensor, labels: Tensor | None = None) -> Tensor:
        """Pictures `(batch, channels, height, width)` in [-1, 1] to logits `(batch,)`."""
        features = self.basis(self.stages(self.input(samples)))
        return features.flatten(0) if self.projection is None else self.projection(features, labels)


class GenerativeBasis(nn.Module):
    """Learned maps of 4x4 (or another size), one a channel, each weighed by a linear function of the latent."""

    def __init__(self, features: int, channels: int, size: Size) -> None:
        super().__init__()
        self.maps = nn.Parameter(torch.randn(channels, *size))
        self.weigh = nn.Linear(features, channels, bias=False)
        first_weights(self.weigh.weight, features)

    def forward(self, latent: Tensor) -> Tensor:
        """`(batch, features)` to `(batch, channels, *size)`."""
        return self.maps * self.weigh(latent)[:, :, None, None]


class DiscriminativeBasis(nn.Module):
    """A learned weighing of each channel's map of 4x4 (or another size), then a linear layer."""

    def __init__(self, channels: int, features: int, size: Size) -> None:
        super().__init__()
        self.maps = nn.Conv2d(channels, channels, size, groups=channels, bias=False)
        self.weigh = nn.Linear(channels, features, bias=False)
        first_weights(self.maps.weight, math.prod(size))
        first_weights(self.weigh.weight, channels)

    def forward(self, maps: Tensor) -> Tensor:
        """`(batch, channels, *size)` to `(batch, features)`."""
        return self.weigh(self.maps(maps).flatten(1))


class Residual(nn.Module):
    """The residual that a block adds: wide 1x1, leaky ReLU, grouped 3x3, leaky ReLU, 1x1 back (an inverted bottleneck).

    Args:
        channels: of its input and output.
        depth: residual blocks of the whole network, which share the variance between them.
        expansion: hidden channels over `channels`.
        group_width: hidden channels a group.
    """

    def __init__(self, channels: int, depth: int, expansion: int, group_width: int) -> None:
        super().__init__()
        hidden = channels * expansion
        groups = max(1, hidden // group_width)
        if hidden % groups:
            raise ValueError(f"{hidden} hidden channels do not divide into groups of group_width = {group_width}")
        widen = nn.Conv2d(channels, hidden, 1)
        mix = nn.Conv2d(hidden, hidden, 3, padding=1, groups=groups)
        back = nn.Conv2d(hidden, channels, 1, bias=False)
        # Fixup for m = 3 layers a block: gains of depth^(-1 / (2m - 2)) and a last layer of zeros.
        gain = GAIN * depth**-0.25
        for layer in (widen, mix):
            first_weights(layer.weight, layer.weight[0].numel(), gain)
            nn.init.constant_(layer.bias, 0.0)  # pyright: ignore[reportArgumentType]  # it has one
        nn.init.zeros_(back.weight)
        self.layers = nn.Sequential(widen, nn.LeakyReLU(SLOPE), mix, nn.LeakyReLU(SLOPE), back)

    def forward(self, maps: Tensor) -> Tensor:
        return maps + self.layers(maps)


def residuals(channels: int, blocks: int, depth: int, expansion: int, group_width: int) -> nn.Sequential:
    """The residual blocks of one stage."""
    return nn.Sequential(*(Residual(channels, depth, expansion, group_width) for _ in range(blocks)))


def pointwise(channels_in: int, channels: int) -> nn.Conv2d:
    """A 1x1 convolution without bias that keeps the variance."""
    layer = nn.Conv2d(channels_in, channels, 1, bias=False)
    first_weights(layer.weight, channels_in)
    return layer


def first_weights(weight: Tensor, fan_in: int, gain: float = 1.0) -> None:
    """Initialise a weight from N(0, gain^2 / fan_in)."""
    nn.init.normal_(weight, 0.0, gain / math.sqrt(fan_in))


def stage_widths(maps: Maps, width: int, full_width_to: int) -> list[int]:
    """Channels of the maps from the smallest to the picture's, which count as 4, 8, ... wide whatever their format.

    Raises:
        ValueError: `width` is too narrow for them.
    """
    sides = [4 << level for level in range(len(maps.sizes))]
    widths = [width * full_width_to // max(side, full_width_to) for side in sides]
    if widths[-1] < 1:
        height, columns = maps.sizes[-1]
        raise ValueError(f"width = {width} leaves no channel on a map of {height}x{columns}")
    return widths
