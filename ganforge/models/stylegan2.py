"""StyleGAN2: "Analyzing and Improving the Image Quality of StyleGAN" (Karras et al. 2020), pure PyTorch.

Weights have the names that they have in the files of the authors' PyTorch code (`mapping.fc0.weight`,
`synthesis.b8.conv0.affine.weight`, `b16.skip.weight`, ...).
"""

import math
from typing import Annotated, Literal

import torch
from pydantic import Field
from torch import Tensor, nn

from ganforge.models.conditioning import num_classes_for
from ganforge.models.equalised import (
    HALF_TYPES,
    ChannelBase,
    ChannelMax,
    Clamp,
    EqualisedConvolution,
    EqualisedLinear,
    Half,
    HalfBlocks,
    MappingLayers,
    MappingRate,
    at_least_float32,
    in_full,
    of_block,
)
from ganforge.models.mapping import Mapping
from ganforge.models.minibatch import GroupSize, MinibatchDeviation
from ganforge.models.pyramid import Pyramid, pyramid_of
from ganforge.models.resampling import BlurDownsample
from ganforge.models.style_space import StyledGenerator
from ganforge.models.synthesis import Architecture, Synthesis
from ganforge.registry import register
from ganforge.spec import DataSpec

Dimension = Annotated[int, Field(ge=1, le=2**20)]
Share = Annotated[float, Field(ge=0, le=1)]
Beta = Annotated[float, Field(ge=0, lt=1)]


@register.generator("stylegan2")
class StyleGAN2Generator(StyledGenerator):
    """Convolutions modulated by a mapped latent, from a learned constant to a picture (StyleGAN2, Karras et al. 2020).

    In: latents `(batch, latent_dim)`, N(0, 1). Out: pictures `(batch, channels, height, width)` of any height and width
    that are small numbers times one power of 2 (256x256, 1024x1024, 192x256, 28x28). Learning rates are equalised, so
    all weights are N(0, 1) and Adam's learning rate is their relative speed: 2e-3 in the paper, where that of the
    mapping is a hundredth. The defaults are the published networks (configuration F), except that these end in a
    linear layer (`output = "linear"`); at 256x256 and below the authors' later code takes `channel_base = 16384`.

    Args:
        spec: what a sample looks like.
        latent_dim: dimension of the latent vector.
        w_dim: dimension of a style.
        mapping_layers: layers from latent to style; 8 in the paper, 2 in the authors' later settings for few pictures.
        mapping_lr: what the learning rate of these layers is multiplied by.
        channel_base: a map of side s has `channel_base / s` channels,
        channel_max: but no more than this.
        architecture: pictures of all sizes summed up (`skip`, the paper's choice), residual blocks (`resnet`), or
            neither (`orig`).
        mixing: share of the samples that have the styles of two latents while training.
        noise: whether every convolution adds noise: drawn in each forward of training, fixed otherwise.
        output: `tanh`, or the published `linear`, whose pixels may leave [-1, 1] until they are shown or measured.
        clamp: largest activation of a convolution; 256 in the authors' code, 0 for no limit.
        conditional: how labels are looked at: not at all (`none`), or by a learned vector of the class, as long as a
            style, that enters the mapping beside the latent (`embedding`).
        w_avg_beta: what the mean style keeps of itself in a forward; truncation (`--psi`) pulls styles towards it.
        half_blocks: number of the highest resolutions that compute in 16 bits, where the run itself has full precision;
            4 in the authors' code, 0 for none. On a CPU all compute in full.
        half: `bf16`, or `fp16`, whose gradients may need `clip_value` since no scaler looks after them.

    Raises:
        ValueError: the samples are no pictures, or of a size that does not halve down to a small map, or have no labels
            though `conditional` needs them.
    """

    def __init__(
        self,
        spec: DataSpec,
        *,
        latent_dim: Dimension = 512,
        w_dim: Dimension = 512,
        mapping_layers: MappingLayers = 8,
        mapping_lr: MappingRate = 0.01,
        channel_base: ChannelBase = 32768,
        channel_max: ChannelMax = 512,
        architecture: Architecture = "skip",
        mixing: Share = 0.9,
        noise: bool = True,
        output: Literal["tanh", "linear"] = "tanh",
        clamp: Clamp = 256.0,
        conditional: Literal["none", "embedding"] = "none",
        w_avg_beta: Beta = 0.995,
        half_blocks: HalfBlocks = 0,
        half: Half = "bf16",
    ) -> None:
        super().__init__()
        pyramid = pyramid_of(spec, "stylegan2", channel_base=channel_base, channel_max=channel_max)
        self.latent_dim, self.mixing = latent_dim, mixing
        synthesis = Synthesis(
            pyramid,
            spec.channels,
            w_dim,
            architecture=architecture,
            noise=noise,
            clamp=clamp,
            half_blocks=half_blocks,
            half=HALF_TYPES[half],
        )
        self.synthesis, self.num_ws = synthesis, synthesis.num_ws
        num_classes = num_classes_for(spec, conditional)
        self.mapping = Mapping(latent_dim, num_classes, w_dim, layers=mapping_layers, rate=mapping_lr, beta=w_avg_beta)
        if output == "tanh":
            self.output = nn.Tanh()

    def style_weights(self) -> list[Tensor]:
        assert isinstance(self.synthesis, Synthesis)
        return [layer.affine.weight for layer in self.synthesis.layers()]


@register.discriminator("stylegan2")
class StyleGAN2Discriminator(nn.Module):
    """Residual blocks that halve the picture, and the batch's deviation, to one logit (StyleGAN2, Karras et al. 2020).

    In: pictures `(batch, channels, height, width)` in [-1, 1] of any height and width that are small numbers times one
    power of 2. Out: logits `(batch,)`, no sigmoid. Learning rates are equalised. It belongs with the objective `bce`
    and the penalty `r1`. The defaults are the published network (configuration F).

    Args:
        spec: what a sample looks like.
        channel_base: a map of side s has `channel_base / s` channels,
        channel_max: but no more than this.
        architecture: residual blocks (`resnet`, the paper's choice), the picture entering at all sizes (`skip`), or
            neither (`orig`, the authors' choice for CIFAR-10).
        minibatch_std: samples in a group whose deviation is shown to the last layers; 0 for none.
        clamp: largest activation of a convolution; 256 in the authors' code, 0 for no limit.
        conditional: how labels are looked at: not at all (`none`), or by a mapping of the class, whose inner product
            with the last features is the logit (`projection`).
        mapping_layers: layers of that mapping.
        mapping_lr: what the learning rate of these layers is multiplied by.
        half_blocks: number of the highest resolutions that compute in 16 bits, where the run itself has full precision;
            4 in the authors' code, 0 for none. On a CPU all compute in full.
        half: `bf16`, or `fp16`, whose gradients may need `clip_value` since no scaler looks after them.

    Raises:
        ValueError: the samples are no pictures, or of a size that does not halve down to a small map, or have no labels
            though `conditional` needs them.
    """

    def __init__(
        self,
        spec: DataSpec,
        *,
        channel_base: ChannelBase = 32768,
        channel_max: ChannelMax = 512,
        architecture: Architecture = "resnet",
        minibatch_std: GroupSize = 4,
        clamp: Clamp = 256.0,
        conditional: Literal["none", "projection"] = "none",
        mapping_layers: MappingLayers = 8,
        mapping_lr: MappingRate = 0.01,
        half_blocks: HalfBlocks = 0,
        half: Half = "bf16",
    ) -> None:
        super().__init__()
        pyramid = pyramid_of(spec, "stylegan2", channel_base=channel_base, channel_max=channel_max)
        num_classes = num_classes_for(spec, conditional)
        self.blocks: list[str] = []
        for level in reversed(pyramid.levels[1:]):
            is_half = level >= len(pyramid.widths) - half_blocks
            dtype = HALF_TYPES[half] if is_half else None
            block = DownBlock(pyramid, level, spec.channels, architecture=architecture, clamp=clamp, dtype=dtype)
            self.blocks.append(pyramid.name(level))
            self.add_module(pyramid.name(level), block)
        width = pyramid.widths[0]
        self.mapping = None
        if num_classes:
            self.mapping = Mapping(0, num_classes, width, layers=mapping_layers, rate=mapping_lr, beta=None)
        self.b4 = Epilogue(
            pyramid,
            spec.channels,
            architecture=architecture,
            minibatch_std=minibatch_std,
            clamp=clamp,
            features=width if num_classes else 1,
        )

    def blocks_from_samples(self) -> list[tuple[nn.Module, ...]]:
        """What `training.freeze` counts: blocks of one size of map, down to the one before 4x4."""
        return [(self.get_submodule(name),) for name in self.blocks]

    def forward(self, samples: Tensor, labels: Tensor | None = None) -> Tensor:
        """Pictures `(batch, channels, height, width)` in [-1, 1] to logits `(batch,)`."""
        maps: Tensor | None = None
        picture: Tensor | None = samples
        for name in self.blocks:
            maps, picture = self.get_submodule(name)(maps, picture)
        features = self.b4(maps, picture)
        if self.mapping is None:
            return features[:, 0]
        with in_full(features):
            return (features * self.mapping(None, labels)).sum(dim=1) / math.sqrt(features.shape[1])


class DownBlock(nn.Module):
    """One level of the discriminator: two convolutions, of which the second halves the maps.

    Args:
        pyramid: maps of the network.
        level: level of this block, above 0.
        channels: channels of the picture.
        architecture: architecture of the network.
        clamp: largest activation; 0 for no limit.
        dtype: type that it computes in; None for that of its input.
    """

    def __init__(
        self,
        pyramid: Pyramid,
        level: int,
        channels: int,
        *,
        architecture: Architecture,
        clamp: float,
        dtype: torch.dtype | None,
    ) -> None:
        super().__init__()
        width, after = pyramid.widths[level], pyramid.widths[level - 1]
        self.dtype = dtype
        sees_picture = architecture == "skip" or level == pyramid.levels[-1]
        self.fromrgb = EqualisedConvolution(channels, width, 1, clamp=clamp) if sees_picture else None
        self.conv0 = EqualisedConvolution(width, width, 3, clamp=clamp)
        self.conv1 = EqualisedConvolution(width, after, 3, scale=0.5, clamp=clamp)
        is_residual = architecture == "resnet"
        self.skip = EqualisedConvolution(width, after, 1, scale=0.5, activation=False) if is_residual else None
        self.downsample = BlurDownsample() if architecture == "skip" else None

    def forward(self, maps: Tensor | None, picture: Tensor | None) -> tuple[Tensor, Tensor | None]:
        """The maps of the level above, None at the top, and the picture at this level's size, to those of the next."""
        if self.fromrgb is not None:
            assert picture is not None
            picture = of_block(picture, self.dtype)
            added = self.fromrgb(picture)
            maps = added if maps is None else maps.to(added.dtype) + added
            picture = None if self.downsample is None else self.downsample(picture)
        assert maps is not None
        maps = of_block(maps, self.dtype)
        if self.skip is None:
            return self.conv1(self.conv0(maps)), picture
        kept = self.skip(maps, gain=math.sqrt(0.5))
        return kept + self.conv1(self.conv0(maps), gain=math.sqrt(0.5)), picture


class Epilogue(nn.Module):
    """From the smallest maps to the last features, in the network's own precision.

    Args:
        pyramid: of the network.
        channels: of the picture.
        architecture: of the network.
        minibatch_std: samples in a group; 0 for none.
        clamp: largest activation; 0 for no limit.
        features: number of output features.
    """

    def __init__(
        self,
        pyramid: Pyramid,
        channels: int,
        *,
        architecture: Architecture,
        minibatch_std: int,
        clamp: float,
        features: int,
    ) -> None:
        super().__init__()
        width, (height, across) = pyramid.widths[0], pyramid.start
        self.fromrgb = EqualisedConvolution(channels, width, 1) if architecture == "skip" else None
        self.deviation = MinibatchDeviation(minibatch_std) if minibatch_std else nn.Identity()
        self.conv = EqualisedConvolution(width + bool(minibatch_std), width, 3, clamp=clamp)
        self.fc = EqualisedLinear(width * height * across, width, activation=True)
        self.out = EqualisedLinear(width, features)

    def forward(self, maps: Tensor, picture: Tensor | None) -> Tensor:
        """Maps `(batch, channels, height, width)` to `(batch, features)`."""
        maps = at_least_float32(maps)
        if self.fromrgb is not None:
            assert picture is not None
            maps = maps + self.fromrgb(picture.to(maps.dtype))
        return self.out(self.fc(self.conv(self.deviation(maps)).flatten(1)))
