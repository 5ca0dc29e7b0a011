"""From styles to a picture: the synthesis network of StyleGAN2 (Karras et al. 2020, figures 2 and 7)."""

import math
from typing import Literal

import torch
from torch import Tensor, nn

from ganforge.models.equalised import EqualisedConvolution, at_least_float32, of_block
from ganforge.models.modulated import Modulated, StyledConvolution, ToPicture
from ganforge.models.pyramid import Pyramid
from ganforge.models.resampling import BlurUpsample

Architecture = Literal["skip", "resnet", "orig"]


class Synthesis(nn.Module):
    """A learned constant, then blocks of two styled convolutions that double it up to the picture.

    Each convolution has a style of its own, and so has the last layer to the picture; with `skip` the layer to the
    picture of every level shares its style with the first convolution of the next.

    Args:
        pyramid: sizes and channels of the maps.
        channels: of the picture.
        w_dim: dimension of a style.
        architecture: `skip` sums up pictures of all levels, `resnet` has residual blocks, `orig` neither.
        noise: whether convolutions add noise.
        clamp: largest activation; 0 for no limit.
        half_blocks: number of the highest levels that compute in `half`; the lowest never does.
        half: 16-bit type of those levels.
    """

    def __init__(
        self,
        pyramid: Pyramid,
        channels: int,
        w_dim: int,
        *,
        architecture: Architecture,
        noise: bool,
        clamp: float,
        half_blocks: int,
        half: torch.dtype,
    ) -> None:
        super().__init__()
        self.blocks: list[str] = []
        for level in pyramid.levels:
            is_half = level > 0 and level >= len(pyramid.widths) - half_blocks
            block = Block(
                pyramid,
                level,
                channels,
                w_dim,
                architecture=architecture,
                noise=noise,
                clamp=clamp,
                dtype=half if is_half else None,
            )
            self.blocks.append(pyramid.name(level))
            self.add_module(pyramid.name(level), block)
        self.num_ws = 2 * len(pyramid.widths)

    def layers(self) -> list[Modulated]:
        """The layer that each of the `num_ws` styles is for; the last one is the layer to the picture."""
        names = [f"{name}.{conv}" for name in self.blocks for conv in ("conv0", "conv1")][1:]
        found = [self.get_submodule(name) for name in (*names, f"{self.blocks[-1]}.torgb")]
        return [layer for layer in found if isinstance(layer, Modulated)]

    def forward(self, styles: Tensor) -> Tensor:
        """Styles `(batch, num_ws, w_dim)` to pictures `(batch, channels, height, width)`."""
        maps: Tensor | None = None
        picture: Tensor | None = None
        first = 0
        for name in self.blocks:
            block = self.get_submodule(name)
            assert isinstance(block, Block)
            maps, picture = block(maps, picture, styles[:, first : first + block.num_convolutions + 1])
            first += block.num_convolutions
        assert picture is not None
        return picture


class Block(nn.Module):
    """One level of the synthesis.

    Args:
        pyramid: maps of the network.
        level: level of this block.
        channels: channels of the picture.
        w_dim: dimension of a style.
        architecture: architecture of the network.
        noise: whether convolutions add noise.
        clamp: largest activation; 0 for no limit.
        dtype: type that the convolutions compute in; None for that of their input.
    """

    def __init__(
        self,
        pyramid: Pyramid,
        level: int,
        channels: int,
        w_dim: int,
        *,
        architecture: Architecture,
        noise: bool,
        clamp: float,
        dtype: torch.dtype | None,
    ) -> None:
        super().__init__()
        width, shape = pyramid.widths[level], pyramid.shape(level)
        self.dtype = dtype
        self.num_convolutions = 1 if level == 0 else 2
        self.skip = None
        if level == 0:
            self.const = nn.Parameter(torch.randn(width, *shape))
        else:
            before = pyramid.widths[level - 1]
            self.conv0 = StyledConvolution(before, width, w_dim, shape, up=True, noise=noise, clamp=clamp)
            if architecture == "resnet":
                self.skip = EqualisedConvolution(before, width, 1, scale=2.0, activation=False)
        self.conv1 = StyledConvolution(width, width, w_dim, shape, up=False, noise=noise, clamp=clamp)
        makes_picture = architecture == "skip" or level == pyramid.levels[-1]
        self.torgb = ToPicture(width, channels, w_dim, clamp=clamp) if makes_picture else None
        self.upsample = BlurUpsample()

    def forward(self, maps: Tensor | None, picture: Tensor | None, styles: Tensor) -> tuple[Tensor, Tensor | None]:
        """The maps and the picture of the level below, both None for the lowest, to those of this level.

        Args:
            maps: `(batch, channels_in, height / 2, width / 2)`.
            picture: `(batch, channels, height / 2, width / 2)`, in float32 or wider; None before the first one.
            styles: `(batch, num_convolutions + 1, w_dim)`.
        """
        if maps is None:
            maps = self.const.expand(styles.shape[0], -1, -1, -1)  # len() would fix an exported batch
        made = self._convolved(of_block(maps, self.dtype), styles)
        if picture is not None:
            picture = self.upsample(picture)
        if self.torgb is not None:
            added = at_least_float32(self.torgb(made, styles[:, self.num_convolutions]))
            picture = added if picture is None else picture + added
        return made, picture

    def _convolved(self, maps: Tensor, styles: Tensor) -> Tensor:
        if self.num_convolutions == 1:
            return self.conv1(maps, styles[:, 0])
        if self.skip is None:
            return self.conv1(self.conv0(maps, styles[:, 0]), styles[:, 1])
        kept = self.skip(maps, gain=math.sqrt(0.5))
        return kept + self.conv1(self.conv0(maps, styles[:, 0]), styles[:, 1], gain=math.sqrt(0.5))
