"""Residual networks of "Spectral Normalization for GANs" (SNGAN, Miyato, Kataoka, Koyama, Yoshida 2018)."""

import math
from itertools import pairwise
from typing import Annotated, Literal

from pydantic import Field
from torch import Tensor, nn

from ganforge.models.attention import SelfAttention
from ganforge.models.conditioning import (
    DiscriminatorCondition,
    GeneratorCondition,
    LabelledLatent,
    LabelledSamples,
    LabelledSequential,
    Projection,
    TakesLabels,
    num_classes_for,
)
from ganforge.models.layers import LatentDistribution, LayerStyle
from ganforge.models.minibatch import GroupSize, MinibatchDeviation
from ganforge.models.resampling import BlurDownsample, BlurUpsample
from ganforge.registry import register
from ganforge.spec import DataSpec

Resample = Literal["plain", "blur"]
Width = Annotated[int, Field(ge=1, le=65_536)]
AttentionSize = Annotated[int, Field(ge=0, le=65_536)]

GENERATOR_MULTIPLES = {32: (1, 1, 1, 1), 64: (16, 8, 4, 2, 1), 128: (16, 16, 8, 4, 2, 1)}
"""Channels over `width` of the first map of 4x4 and after each block, by the picture's side."""
DISCRIMINATOR_MULTIPLES = {32: (1, 1, 1, 1), 64: (1, 2, 4, 8, 16), 128: (1, 2, 4, 8, 16, 16)}
"""Channels over `width` after each block."""
HALVINGS = {32: 2, 64: 5, 128: 5}
"""How many of the discriminator's blocks halve the map; the others keep it."""


@register.generator("resnet")
class ResNetGenerator(nn.Module):
    """Residual blocks that double the map, from a latent vector to a picture (SNGAN, Miyato et al. 2018, appendix B.4).

    A dense layer makes a map of 4x4, each block doubles it by nearest neighbours between batch norm, ReLU and
    convolutions of 3x3; batch norm, ReLU, a convolution and tanh end it. Weights start Glorot uniform, as in the
    authors' code. In: latent `(batch, latent_dim)`. Out: pictures `(batch, channels, size, size)` in [-1, 1] of size 32
    (256 channels everywhere: the paper's for CIFAR-10), 64 or 128 (64 channels last, 1024 first: the authors' for
    ImageNet). Labels are taken and ignored unless `conditional` says how to look at them.

    Args:
        spec: what a sample looks like: a square picture of a supported size.
        latent_dim: dimension of the latent vector (128 in the paper).
        latent_distribution: what latents are drawn from: `normal` is N(0, 1) (the paper), `uniform` is U[-1, 1].
        width: channels of the last map; by default the paper's, 256 for pictures of 32x32 and 64 for larger ones.
        norm: `batch`, `sync` (batch norm over all ranks) or `none`.
        spectral_norm: bound the largest singular value of every layer by 1 (SAGAN, Zhang et al. 2019, does so here).
        conditional: how labels are looked at: not at all (`none`), by a learned vector of the class appended to the
            latent (`embedding`), or by gains and biases of the blocks' batch norm for each class (`norm`, Miyato and
            Koyama 2018, the paper of the projection discriminator).
        attention: side of the map that gets self-attention (SAGAN: 32 for pictures of 128x128); 0 for none.
        resample: how maps are doubled: nearest neighbours (`plain`, the paper) or through a low-pass filter (`blur`).

    Raises:
        ValueError: the samples are not square pictures of a supported size, or have no labels though `conditional`
            needs them, there is no batch norm to condition, or no map has the side `attention`.
    """

    def __init__(
        self,
        spec: DataSpec,
        *,
        latent_dim: Annotated[int, Field(ge=1, le=65_536)] = 128,
        latent_distribution: LatentDistribution = "normal",
        width: Width | None = None,
        norm: Literal["batch", "sync", "none"] = "batch",
        spectral_norm: bool = False,
        conditional: GeneratorCondition = "none",
        attention: AttentionSize = 0,
        resample: Resample = "plain",
    ) -> None:
        super().__init__()
        side = checked_side(spec)
        self.latent_dim = latent_dim
        self.latent_distribution: LatentDistribution = latent_distribution
        num_classes = num_classes_for(spec, conditional)
        style = LayerStyle(norm, "relu", 0.0)
        # Only the blocks' batch norm is conditional: the last one stands outside of them, as in the authors' code.
        block_style = style.with_classes(num_classes) if conditional == "norm" else style
        width = width or (256 if side == 32 else 64)
        channels = [multiple * width for multiple in GENERATOR_MULTIPLES[side]]
        sides = [8 * 2**index for index in range(len(channels) - 1)]
        check_attention(attention, sides)

        self.labelled = LabelledLatent(num_classes, latent_dim) if conditional == "embedding" else None
        features = latent_dim if self.labelled is None else 2 * latent_dim
        self.stem = nn.Sequential(
            glorot(nn.Linear(features, channels[0] * 16), 1.0, spectral_norm), nn.Unflatten(1, (channels[0], 4, 4))
        )
        blocks: list[nn.Module] = []
        for (wide, narrow), side_after in zip(pairwise(channels), sides, strict=True):
            blocks.append(GrowingBlock(wide, narrow, block_style, spectral_norm, resample))
            if side_after == attention:
                blocks.append(SelfAttention(narrow, LayerStyle("spectral" if spectral_norm else "none", "relu", 0.0)))
        self.blocks = LabelledSequential(*blocks)
        last = glorot(nn.Conv2d(channels[-1], spec.channels, 3, padding=1), 1.0, spectral_norm)
        self.output = nn.Sequential(*style.following(channels[-1]), last, nn.Tanh())

    def forward(self, latent: Tensor, labels: Tensor | None = None) -> Tensor:
        """Latents `(batch, latent_dim)` to pictures `(batch, channels, size, size)` in [-1, 1]."""
        if self.labelled is not None:
            latent = self.labelled(latent, labels)
        return self.output(self.blocks(self.stem(latent), labels))


@register.discriminator("resnet")
class ResNetDiscriminator(nn.Module):
    """Residual blocks that halve the map, with spectral norm, to one logit (SNGAN, Miyato et al. 2018, appendix B.4).

    Blocks of ReLU and convolutions of 3x3 without normalisation of activations, halved by average pooling; ReLU, a sum
    over all positions and a dense layer end it. In: pictures `(batch, channels, size, size)` in [-1, 1] of size 32 (128
    channels, two blocks that halve and two that do not: the paper's for CIFAR-10), 64 or 128 (64 channels first, 1024
    last: the authors' for ImageNet). Out: logits `(batch,)`, no sigmoid. Labels are taken and ignored unless
    `conditional` says how to look at them.

    Args:
        spec: what a sample looks like: a square picture of a supported size.
        width: channels of the first map; by default the paper's, 128 for pictures of 32x32 and 64 for larger ones.
        spectral_norm: bound the largest singular value of every layer by 1, which is the paper's method.
        last_bias: whether the dense layer at the end has a bias; by default as in the authors' code, which has none for
            pictures of 32x32 and one for larger ones.
        conditional: how labels are looked at: not at all (`none`), as one more channel of the picture, a learned map
            of the class (`embedding`), or by adding to the logit the inner product of a learned vector of the class
            with the last features (`projection`, Miyato and Koyama 2018).
        minibatch_std: show the last layer how much the pictures of a group of so many differ (Karras et al. 2018,
            whose code has 4); 0 for not. Groups lie within a rank's micro-batch and must divide it.
        attention: side of the map that gets self-attention (SAGAN, Zhang et al. 2019: 32 for 128x128); 0 for none.
        resample: how maps are halved: average pooling (`plain`, the paper) or through a low-pass filter (`blur`).

    Raises:
        ValueError: the samples are not square pictures of a supported size, or have no labels though `conditional`
            needs them, or no map has the side `attention`.
    """

    def __init__(
        self,
        spec: DataSpec,
        *,
        width: Width | None = None,
        spectral_norm: bool = True,
        last_bias: bool | None = None,
        conditional: DiscriminatorCondition = "none",
        minibatch_std: GroupSize = 0,
        attention: AttentionSize = 0,
        resample: Resample = "plain",
    ) -> None:
        super().__init__()
        side = checked_side(spec)
        num_classes = num_classes_for(spec, conditional)
        width = width or (128 if side == 32 else 64)
        channels = [multiple * width for multiple in DISCRIMINATOR_MULTIPLES[side]]
        halvings = HALVINGS[side]
        sides = [side // 2 ** min(index + 1, halvings) for index in range(len(channels))]
        check_attention(attention, sides[:halvings])

        self.labelled = LabelledSamples(num_classes, spec) if conditional == "embedding" else None
        channels_in = spec.channels if self.labelled is None else spec.channels + 1
        blocks: list[nn.Module] = []
        for index, (few, many) in enumerate(pairwise([channels_in, *channels])):
            is_first, halves = index == 0, index < halvings
            blocks.append(ShrinkingBlock(few, many, spectral_norm, resample, is_first=is_first, halves=halves))
            if halves and sides[index] == attention:
                blocks.append(SelfAttention(many, LayerStyle("spectral" if spectral_norm else "none", "relu", 0.0)))
        self.blocks = nn.Sequential(*blocks, nn.ReLU())
        self.deviation = MinibatchDeviation(minibatch_std) if minibatch_std else None
        features = channels[-1] + (self.deviation is not None)
        has_bias = side > 32 if last_bias is None else last_bias
        self.head = nn.Sequential(glorot(nn.Linear(features, 1, bias=has_bias), 1.0, spectral_norm), nn.Flatten(0))
        self.projection = None
        if conditional == "projection":
            self.projection = Projection(num_classes, channels[-1], spectral_norm=spectral_norm)

    def blocks_from_samples(self) -> list[tuple[nn.Module, ...]]:
        """What `training.freeze` counts: residual blocks, and self-attention where there is one."""
        return [(block,) for block in self.blocks if not isinstance(block, nn.ReLU)]

    def forward(self, samples: Tensor, labels: Tensor | None = None) -> Tensor:
        """Pictures `(batch, channels, size, size)` in [-1, 1] to logits `(batch,)`."""
        if self.labelled is not None:
            samples = self.labelled(samples, labels)
        maps = self.blocks(samples)
        features = maps.sum(dim=(2, 3))
        seen = features if self.deviation is None else self.deviation(maps).sum(dim=(2, 3))
        logits = self.head(seen)
        if self.projection is not None:
            logits = logits + self.projection(features, labels)
        return logits


class GrowingBlock(TakesLabels, nn.Module):
    """Batch norm, ReLU, doubling, convolution, batch norm, ReLU, convolution, beside a doubled 1x1 convolution."""

    def __init__(self, channels_in: int, channels: int, style: LayerStyle, spectral: bool, resample: Resample) -> None:
        super().__init__()
        self.doubled = nn.Upsample(scale_factor=2.0) if resample == "plain" else BlurUpsample()
        self.residual = LabelledSequential(
            *style.following(channels_in),
            self.doubled,
            glorot(nn.Conv2d(channels_in, channels, 3, padding=1), math.sqrt(2), spectral),
            *style.following(channels),
            glorot(nn.Conv2d(channels, channels, 3, padding=1), math.sqrt(2), spectral),
        )
        self.shortcut = glorot(nn.Conv2d(channels_in, channels, 1), 1.0, spectral)
        # Copies of pixels and a 1x1 convolution commute: before the doubling there are a quarter of the positions. The
        # low-pass filter fades to 0 at the edges, and would take the convolution's bias with it.
        self.doubles_last = resample == "plain"

    def forward(self, maps: Tensor, labels: Tensor | None = None) -> Tensor:
        shortcut = self.doubled(self.shortcut(maps)) if self.doubles_last else self.shortcut(self.doubled(maps))
        return self.residual(maps, labels) + shortcut


class ShrinkingBlock(nn.Module):
    """ReLU, convolution, ReLU, convolution, halving, beside a halved 1x1 convolution; plain where nothing changes.

    The first block has no ReLU in front, which would throw away the dark half of the picture, and its hidden width is
    that of its output.
    """

    def __init__(
        self, channels_in: int, channels: int, spectral: bool, resample: Resample, *, is_first: bool, halves: bool
    ) -> None:
        super().__init__()
        hidden = channels if is_first else channels_in
        self.halved: nn.Module = nn.Identity()
        if halves:
            self.halved = nn.AvgPool2d(2) if resample == "plain" else BlurDownsample()
        # The low-pass filter would weaken this bias at the edges; the shortcut's, beside it, is added after the filter.
        last_bias = not halves or resample == "plain"
        layers: list[nn.Module] = [] if is_first else [nn.ReLU()]
        self.residual = nn.Sequential(
            *layers,
            glorot(nn.Conv2d(channels_in, hidden, 3, padding=1), math.sqrt(2), spectral),
            nn.ReLU(),
            glorot(nn.Conv2d(hidden, channels, 3, padding=1, bias=last_bias), math.sqrt(2), spectral),
        )
        self.shortcut: nn.Module = nn.Identity()
        if halves or channels_in != channels:
            self.shortcut = glorot(nn.Conv2d(channels_in, channels, 1), 1.0, spectral)

    def forward(self, maps: Tensor) -> Tensor:
        return self.halved(self.residual(maps)) + self.shortcut(self.halved(maps))


def glorot(layer: nn.Conv2d | nn.Linear, gain: float, spectral: bool) -> nn.Module:
    """The layer with Glorot uniform weights, bias 0 and, where asked for, spectral norm."""
    nn.init.xavier_uniform_(layer.weight, gain)
    if layer.bias is not None:
        nn.init.zeros_(layer.bias)
    return LayerStyle("spectral" if spectral else "none", "relu", 0.0).prepared(layer)


def checked_side(spec: DataSpec) -> int:
    """Side of the pictures, checked to be a supported one.

    Raises:
        ValueError: they are not square pictures of a supported size.
    """
    if not spec.is_image:
        raise ValueError(f"resnet makes pictures and these samples are {spec}: use 'mlp'")
    if spec.height != spec.width or spec.height not in GENERATOR_MULTIPLES:
        raise ValueError(
            f"resnet has square pictures of side 32, 64 or 128, these are {spec.height}x{spec.width}: "
            "pack them again with `ganforge data pack --size`"
        )
    return spec.height


def check_attention(attention: int, sides: list[int]) -> None:
    """Raise ValueError if no block ends in a map of the side that self-attention is to be applied to."""
    if attention and attention not in sides:
        raise ValueError(f"attention = {attention}: the blocks' maps have sides {', '.join(map(str, sorted(sides)))}")
