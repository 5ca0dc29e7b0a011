"""Residual networks of "Spectral Normalization for GANs" (SNGAN, Miyato, Kataoka, Koyama, Yoshida 2018)."""

import math
from collections.abc import Sequence
from itertools import pairwise
from typing import Annotated, Literal

from pydantic import Field
from torch import Tensor, nn

from ganforge.models.attention import SelfAttention
from ganforge.models.conditioning import (
    Classifier,
    ClassifyingCondition,
    GeneratorCondition,
    LabelledLatent,
    LabelledSamples,
    LabelledSequential,
    Projection,
    num_classes_for,
)
from ganforge.models.hierarchical import Hierarchy, affine_style
from ganforge.models.layers import LatentDistribution, LayerStyle
from ganforge.models.minibatch import GroupSize, MinibatchDeviation
from ganforge.models.residual import GrowingBlock, Resample, ShrinkingBlock, glorot
from ganforge.models.sizes import Maps, Size, half_of, maps_of
from ganforge.registry import register
from ganforge.spec import DataSpec

Width = Annotated[int, Field(ge=1, le=65_536)]
AttentionSize = Annotated[int, Field(ge=0, le=65_536)]

SMALL = 3
"""Doublings of pictures up to 32x32, which have one width everywhere; larger ones have a pyramid of widths."""


@register.generator("resnet")
class ResNetGenerator(nn.Module):
    """Residual blocks that double the map, from a latent vector to a picture (SNGAN, Miyato et al. 2018, appendix B.4).

    A dense layer makes a map of 4x4, each block doubles it by nearest neighbours between batch norm, ReLU and
    convolutions of 3x3; batch norm, ReLU, a convolution and tanh end it. Weights start Glorot uniform, as in the
    authors' code. In: latent `(batch, latent_dim)`. Out: pictures `(batch, channels, height, width)` in [-1, 1] of any
    size whose halvings, rounded up, end at sides of 2 to 8. 32x32 and what is halved as often or less have 256
    channels everywhere (the paper's for CIFAR-10); 64x64, 128x128 and the like have 64 channels last and 1024 first
    (the authors' for ImageNet). Labels are taken and ignored unless `conditional` says how to look at them.

    Args:
        spec: what a sample looks like: a picture.
        latent_dim: dimension of the latent vector (128 in the paper).
        latent_distribution: what latents are drawn from: `normal` is N(0, 1) (the paper), `uniform` is U[-1, 1].
        width: channels of the last map; by default the paper's, 256 for pictures up to 32x32 and 64 for larger ones.
        norm: `batch`, `sync` (batch norm over all ranks) or `none`.
        spectral_norm: bound the largest singular value of every layer by 1 (SAGAN, Zhang et al. 2019, does so here).
        conditional: how labels are looked at: not at all (`none`), by a learned vector of the class appended to the
            latent (`embedding`), or by gains and biases of the blocks' batch norm for each class (`norm`, Miyato and
            Koyama 2018, the paper of the projection discriminator), which with `shared` are linear functions of one
            vector of the class (BigGAN, Brock et al. 2019).
        class_dim: dimension of the shared vector; 128 in BigGAN.
        hierarchical: the latent comes in equal pieces, one for the dense layer and one for each block, whose batch norm
            it joins in gains and biases (BigGAN); with `conditional = "none"` or `"shared"`.
        attention: height of the map that gets self-attention (SAGAN: 32 for pictures of 128x128); 0 for none.
        resample: how maps are doubled: nearest neighbours (`plain`, the paper) or through a low-pass filter (`blur`).

    Raises:
        ValueError: the samples are not pictures, or too long or small ones, or have no labels though `conditional`
            needs them, there is no batch norm to condition, or no map has the height `attention`.
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
        conditional: GeneratorCondition | Literal["shared"] = "none",
        class_dim: Annotated[int, Field(ge=1, le=65_536)] = 128,
        hierarchical: bool = False,
        attention: AttentionSize = 0,
        resample: Resample = "plain",
    ) -> None:
        super().__init__()
        maps = maps_of(spec, "resnet")
        self.latent_dim = latent_dim
        self.latent_distribution: LatentDistribution = latent_distribution
        num_classes = num_classes_for(spec, conditional)
        style = LayerStyle(norm, "relu", 0.0)
        if hierarchical and conditional not in ("none", "shared"):
            raise ValueError(f'hierarchical = true goes with conditional = "none" or "shared", not "{conditional}"')
        # Only the blocks' batch norm is conditional: the last one stands outside of them, as in the authors' code.
        block_style = style.with_classes(num_classes) if conditional == "norm" else style
        width = width or (256 if maps.doublings <= SMALL else 64)
        channels = [multiple * width for multiple in generator_multiples(maps)]
        check_attention(attention, maps.sizes[1:])

        self.labelled = LabelledLatent(num_classes, latent_dim) if conditional == "embedding" else None
        features = latent_dim if self.labelled is None else 2 * latent_dim
        self.hierarchy = None
        if hierarchical or conditional == "shared":
            self.hierarchy = Hierarchy(
                latent_dim, maps.doublings, num_classes=num_classes, class_dim=class_dim, splits=hierarchical
            )
            features = self.hierarchy.first_features
            block_style = affine_style(style, self.hierarchy.features, spectral_norm)
        self.stem = nn.Sequential(
            glorot(nn.Linear(features, channels[0] * math.prod(maps.start)), 1.0, spectral_norm),
            nn.Unflatten(1, (channels[0], *maps.start)),
        )
        blocks: list[nn.Module] = []
        for level, (wide, narrow) in enumerate(pairwise(channels), start=1):
            blocks.append(GrowingBlock(wide, narrow, block_style, spectral_norm, resample, maps.odd(level)))
            if maps.sizes[level][0] == attention:
                blocks.append(SelfAttention(narrow, LayerStyle("spectral" if spectral_norm else "none", "relu", 0.0)))
        self.blocks = LabelledSequential(*blocks)
        last = glorot(nn.Conv2d(channels[-1], spec.channels, 3, padding=1), 1.0, spectral_norm)
        self.output = nn.Sequential(*style.following(channels[-1]), last, nn.Tanh())

    def forward(self, latent: Tensor, labels: Tensor | None = None) -> Tensor:
        """Latents `(batch, latent_dim)` to pictures `(batch, channels, height, width)` in [-1, 1]."""
        if self.labelled is not None:
            latent = self.labelled(latent, labels)
        if self.hierarchy is None:
            return self.output(self.blocks(self.stem(latent), labels))
        first, vectors = self.hierarchy(latent, labels)
        maps, left = self.stem(first), iter(vectors)
        for block in self.blocks:
            maps = block(maps, next(left)) if isinstance(block, GrowingBlock) else block(maps)
        return self.output(maps)


@register.discriminator("resnet")
class ResNetDiscriminator(nn.Module):
    """Residual blocks that halve the map, with spectral norm, to one logit (SNGAN, Miyato et al. 2018, appendix B.4).

    Blocks of ReLU and convolutions of 3x3 without normalisation of activations, halved by average pooling; ReLU, a sum
    over all positions and a dense layer end it. In: pictures `(batch, channels, height, width)` in [-1, 1] of any size
    whose halvings, rounded up, end at sides of 2 to 8. 32x32 and what is halved as often or less have 128 channels,
    two blocks that halve and two that do not (the paper's for CIFAR-10); 64x64, 128x128 and the like have 64 channels
    first and 1024 last (the authors' for ImageNet). Out: logits `(batch,)`, no sigmoid. Labels are taken and ignored
    unless `conditional` says how to look at them.

    Args:
        spec: what a sample looks like: a picture.
        width: channels of the first map; by default the paper's, 128 for pictures up to 32x32 and 64 for larger ones.
        spectral_norm: bound the largest singular value of every layer by 1, which is the paper's method.
        last_bias: whether the dense layer at the end has a bias; by default as in the authors' code, which has none for
            pictures up to 32x32 and one for larger ones.
        conditional: how labels are looked at: not at all (`none`), as one more channel of the picture, a learned map
            of the class (`embedding`), or by adding to the logit the inner product of a learned vector of the class
            with the last features (`projection`, Miyato and Koyama 2018), or by a classifier that the objective
            `acgan` hears (`classifier`, Odena et al. 2017).
        minibatch_std: group size of the minibatch standard deviation that the last layer is given (Karras et al. 2018,
            whose code has 4); 0 for none. Groups lie within a rank's micro-batch and must divide it.
        attention: height of the map that gets self-attention (SAGAN, Zhang et al. 2019: 32 for 128x128); 0 for none.
        wide: give a block the hidden width of its output instead of its input (SAGAN and BigGAN).
        resample: how maps are halved: average pooling (`plain`, the paper) or through a low-pass filter (`blur`).

    Raises:
        ValueError: the samples are not pictures, or too long or small ones, or have no labels though `conditional`
            needs them, or no map has the height `attention`.
    """

    def __init__(
        self,
        spec: DataSpec,
        *,
        width: Width | None = None,
        spectral_norm: bool = True,
        last_bias: bool | None = None,
        conditional: ClassifyingCondition = "none",
        minibatch_std: GroupSize = 0,
        attention: AttentionSize = 0,
        wide: bool = False,
        resample: Resample = "plain",
    ) -> None:
        super().__init__()
        maps = maps_of(spec, "resnet")
        num_classes = num_classes_for(spec, conditional)
        width = width or (128 if maps.doublings <= SMALL else 64)
        channels = [multiple * width for multiple in discriminator_multiples(maps)]
        sizes = halved_sizes(maps)
        check_attention(attention, sizes[1:])

        self.labelled = LabelledSamples(num_classes, spec) if conditional == "embedding" else None
        channels_in = spec.channels if self.labelled is None else spec.channels + 1
        blocks: list[nn.Module] = []
        for index, (few, many) in enumerate(pairwise([channels_in, *channels])):
            halves = index < len(sizes) - 1
            halved = (sizes[index][0] % 2 == 1, sizes[index][1] % 2 == 1) if halves else None
            blocks.append(
                ShrinkingBlock(few, many, spectral_norm, resample, is_first=index == 0, halved=halved, wide=wide)
            )
            if halves and sizes[index + 1][0] == attention:
                blocks.append(SelfAttention(many, LayerStyle("spectral" if spectral_norm else "none", "relu", 0.0)))
        self.blocks = nn.Sequential(*blocks, nn.ReLU())
        self.deviation = MinibatchDeviation(minibatch_std) if minibatch_std else None
        features = channels[-1] + (self.deviation is not None)
        has_bias = maps.doublings > SMALL if last_bias is None else last_bias
        self.head = nn.Sequential(glorot(nn.Linear(features, 1, bias=has_bias), 1.0, spectral_norm), nn.Flatten(0))
        self.classifier, self.projection = None, None
        if conditional == "projection":
            self.projection = Projection(num_classes, channels[-1], spectral_norm=spectral_norm)
        if conditional == "classifier":
            self.classifier = Classifier(num_classes, channels[-1], spectral_norm=spectral_norm)

    def blocks_from_samples(self) -> list[tuple[nn.Module, ...]]:
        """What `training.freeze` counts: residual blocks, and self-attention where there is one."""
        return [(block,) for block in self.blocks if not isinstance(block, nn.ReLU)]

    def forward(self, samples: Tensor, labels: Tensor | None = None) -> Tensor:
        """Pictures `(batch, channels, height, width)` in [-1, 1] to logits `(batch,)`."""
        if self.labelled is not None:
            samples = self.labelled(samples, labels)
        maps = self.blocks(samples)
        features = maps.sum(dim=(2, 3))
        seen = features if self.deviation is None else self.deviation(maps).sum(dim=(2, 3))
        logits = self.head(seen)
        if self.classifier is not None:
            self.classifier(features)  # heard by an objective, and by nobody else
        if self.projection is not None:
            logits = logits + self.projection(features, labels)
        return logits


def generator_multiples(maps: Maps) -> list[int]:
    """Channels over `width` of the smallest map and after each block."""
    if maps.doublings <= SMALL:
        return [1] * (maps.doublings + 1)
    return [min(2**index, 16) for index in range(maps.doublings, -1, -1)]


def discriminator_multiples(maps: Maps) -> list[int]:
    """Channels over `width` after each block."""
    if maps.doublings <= SMALL:
        return [1] * 4
    return [min(2**index, 16) for index in range(maps.doublings + 1)]


def halved_sizes(maps: Maps) -> list[Size]:
    """Sizes of the picture and of the map after each of the discriminator's blocks that halves; the others keep it.

    That are two for pictures up to 32x32. Larger ones are halved to the generator's smallest map, and once more in the
    network for 64x64.
    """
    if maps.doublings <= SMALL:
        return list(reversed(maps.sizes))[:3]
    sizes = list(reversed(maps.sizes))
    return [*sizes, half_of(sizes[-1])] if maps.doublings == SMALL + 1 else sizes


def check_attention(attention: int, sizes: Sequence[Size]) -> None:
    """Raise ValueError if no block ends in a map of the height that self-attention is to be applied to."""
    heights = {height for height, width in sizes if min(height, width) >= 2}  # it looks at a map of half the size
    if attention and attention not in heights:
        shown = ", ".join(map(str, sorted(heights)))
        raise ValueError(f"attention = {attention}: the blocks' maps have heights {shown}")
