"""A discriminator that judges patches and pixels: PatchGAN (Isola et al. 2017), U-Net (Schönfeld et al. 2020)."""

from itertools import pairwise
from typing import Annotated, Literal

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional

from ganforge.models.conditioning import DiscriminatorCondition, LabelledSamples, Projection, num_classes_for
from ganforge.models.convolutions import halving
from ganforge.models.layers import Activation, LayerStyle, MapNormalisation
from ganforge.registry import register
from ganforge.spec import DataSpec


@register.discriminator("unet_patch")
class UNetPatchDiscriminator(nn.Module):
    """Logits of overlapping patches, and of every pixel by way of a U-Net (Isola et al. 2017; Schönfeld et al. 2020).

    `depth` convolutions of 4x4 halve the map and double its channels, from `width`; each position of the last map gives
    the logit of a patch (PatchGAN, Isola et al., section 3.2.2). With `decoder`, as many layers double it again, each
    beside the map of its size on the way down, and give a logit for every pixel (Schönfeld et al., section 3.1). In:
    pictures `(batch, channels, height, width)` in [-1, 1] whose sides divide by `2^depth`. Out: logits `(batch,)`, the
    mean over a picture's patches and that over its pixels weighing the same; or with `judge = "patches"` all of them,
    `(batch, number)`, so that the loss is a mean over patches and not a function of their mean. Any objective takes
    both; a penalty on gradients then differentiates the sum of a picture's logits, so its strength counts `number`
    squared as much.

    Args:
        spec: what a sample looks like: a picture.
        width: channels of the first hidden map.
        max_multiple: no map has more than `max_multiple * width` channels.
        depth: how often the map is halved. A patch is 4, 10, 22, 46, 94 pixels wide for 1 to 5.
        wide: convolutions of 4x4 at the last map's size: 0 for none (the logits come from a 1x1), 1 for the one that
            gives the logits, 2 for one before it that doubles the channels as well, as in the authors' code. With
            `depth = 3` and 2, a patch is 70 pixels wide (Isola et al., appendix 6.1.2). Each takes 1 off the map.
        decoder: whether to judge pixels too; without it this is PatchGAN.
        judge: one logit a `picture`, or all those of its `patches`.
        norm: `spectral` (Schönfeld et al.), `batch` (not on the first layer; Isola et al.), `sync` (batch norm over all
            ranks), `instance` (each map of each picture by itself, not on the first layer; Zhu et al. 2017) or `none`.
        activation: non-linearity after hidden layers.
        leaky_slope: slope below zero if `activation` is `leaky_relu`.
        dropout: probability that an activation of a hidden layer is dropped while training.
        conditional: how labels are looked at: not at all (`none`), as one more channel of the picture, a learned map
            of the class (`embedding`), or by adding to each logit the inner product of a learned vector of the class
            with the features at its position (`projection`, Miyato and Koyama 2018, as in Schönfeld et al.).

    Raises:
        ValueError: the samples are not pictures, or their sides do not divide or are too small, or they have no labels
            though `conditional` needs them; or `wide` is given with `decoder`.
    """

    def __init__(
        self,
        spec: DataSpec,
        *,
        width: Annotated[int, Field(ge=1, le=65_536)] = 64,
        max_multiple: Annotated[int, Field(ge=1, le=1024)] = 8,
        depth: Annotated[int, Field(ge=1, le=8)] = 3,
        wide: Annotated[int, Field(ge=0, le=2)] = 0,
        decoder: bool = True,
        judge: Literal["picture", "patches"] = "picture",
        norm: MapNormalisation = "spectral",
        activation: Activation = "leaky_relu",
        leaky_slope: Annotated[float, Field(ge=0, le=1)] = 0.2,
        dropout: Annotated[float, Field(ge=0, lt=1)] = 0.0,
        conditional: DiscriminatorCondition = "none",
    ) -> None:
        super().__init__()
        if not spec.is_image:
            raise ValueError(f"unet_patch looks at pictures and these samples are {spec}: use 'mlp'")
        if spec.height % 2**depth or spec.width % 2**depth:
            raise ValueError(
                f"depth = {depth}: pictures of {spec.height}x{spec.width} cannot be halved so often; "
                "choose a smaller depth"
            )
        if wide and decoder:
            raise ValueError(f"wide = {wide} makes the last map smaller, and a decoder needs its size: decoder = false")
        last = (spec.height // 2**depth, spec.width // 2**depth)
        if min(last) <= wide or (norm == "instance" and min(last) == 1 and max(last) == 1 and depth > 1):
            need = f"of {wide + 1}x{wide + 1} or more" if wide else "of more than one position"
            raise ValueError(
                f"depth = {depth}: the last map of pictures of {spec.height}x{spec.width} is {last[0]}x{last[1]}, and "
                f"{'wide' if wide else 'instance norm'} needs one {need}; choose a smaller depth"
            )
        self.judge: Literal["picture", "patches"] = judge
        style = LayerStyle(norm, activation, leaky_slope, dropout)
        num_classes = num_classes_for(spec, conditional)
        self.labelled = LabelledSamples(num_classes, spec) if conditional == "embedding" else None
        channels = spec.channels if self.labelled is None else spec.channels + 1
        widths = [width * min(2**index, max_multiple) for index in range(depth)]
        self.down = nn.ModuleList(
            nn.Sequential(
                style.prepared(halving(before, after, 4, index == 0 or style.hidden_bias)),
                *style.following(after, batch_norm=index > 0),
            )
            for index, (before, after) in enumerate(pairwise([channels, *widths]))
        )
        if wide == 2:
            before, after = widths[-1], width * min(2**depth, max_multiple)
            layers = (
                style.prepared(nn.Conv2d(before, after, 4, 1, 1, bias=style.hidden_bias)),
                *style.following(after),
            )
            self.down.append(nn.Sequential(*layers))
            widths.append(after)
        size = 4 if wide else 1
        self.patches = LogitHead(widths[-1], num_classes if conditional == "projection" else 0, style, size)
        self.up, self.pixels = None, None
        if decoder:
            # Beside each map on the way up stands the one of its size on the way down; at the top, the picture.
            beside = [*reversed(widths[:-1]), channels]
            ways = zip([widths[-1], *reversed(widths[:-1])], beside, strict=True)
            after = [*reversed(widths[:-1]), width]
            self.up = nn.ModuleList(
                nn.Sequential(
                    style.prepared(nn.Conv2d(below + skip, out, 3, padding=1, bias=style.hidden_bias)),
                    *style.following(out),
                )
                for (below, skip), out in zip(ways, after, strict=True)
            )
            self.pixels = LogitHead(width, num_classes if conditional == "projection" else 0, style)

    def blocks_from_samples(self) -> list[tuple[nn.Module, ...]]:
        """What `training.freeze` counts: the layers that halve the map."""
        return [(block,) for block in self.down]

    def forward(self, samples: Tensor, labels: Tensor | None = None) -> Tensor:
        """Pictures `(batch, channels, height, width)` in [-1, 1] to logits `(batch,)`, or `(batch, number)`."""
        if self.labelled is not None:
            samples = self.labelled(samples, labels)
        maps = [samples]
        for halve in self.down:
            maps.append(halve(maps[-1]))
        logits = self.patches(maps[-1], labels)
        if self.up is not None and self.pixels is not None:
            features = maps.pop()
            for layer in self.up:
                features = layer(torch.cat((functional.interpolate(features, scale_factor=2.0), maps.pop()), dim=1))
            of_pixels = self.pixels(features, labels)
            # Each patch repeated over the pixels that it stands for: patches and pixels weigh the same in any mean.
            of_patches = functional.interpolate(logits[:, None], size=of_pixels.shape[1:])[:, 0]
            logits = torch.stack((of_patches, of_pixels), dim=1)
        logits = logits.flatten(1)
        return logits if self.judge == "patches" else logits.mean(dim=1)


class LogitHead(nn.Module):
    """A logit at every position, with what the class adds to it.

    Args:
        channels: of the features.
        num_classes: classes for the projection; 0 for none.
        style: how its convolution is made.
        size: of the convolution: 1, or 4, which makes the map smaller by 1.

    Raises:
        ValueError: a projection is wanted of positions that the convolution does not keep.
    """

    def __init__(self, channels: int, num_classes: int, style: LayerStyle, size: int = 1) -> None:
        super().__init__()
        if num_classes and size > 1:
            raise ValueError('conditional = "projection" is of the last map\'s positions; use "embedding", or wide = 0')
        self.layer = style.prepared(nn.Conv2d(channels, 1, size, padding=(size - 1) // 2))
        self.projection = None
        if num_classes:
            self.projection = Projection(num_classes, channels, spectral_norm=style.has_spectral_norm)

    def forward(self, features: Tensor, labels: Tensor | None) -> Tensor:
        """`(batch, channels, height, width)` to `(batch, height, width)`."""
        logits = self.layer(features)[:, 0]
        return logits if self.projection is None else logits + self.projection(features, labels)
