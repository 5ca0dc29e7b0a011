"""The translator of pix2pix: a U-Net (Ronneberger et al. 2015; Isola et al. 2017)."""

from itertools import pairwise
from typing import Annotated, Literal

import torch
from pydantic import Field
from torch import Tensor, nn

from ganforge.models.translation import Up, divisor_of_sources, doubled, enlarged, enlargement, narrow_weights
from ganforge.registry import register
from ganforge.spec import DataSpec

WITH_DROPOUT = 3
"""Layers on the way up, from the innermost, that drop activations (Isola et al. 2017, section 6.1.1)."""


@register.generator("unet_translator")
class UNetTranslator(nn.Module):
    """Pictures to pictures by a U-Net, which hands every map on the way down to the way up (Isola et al. 2017, 6.1.1).

    `depth` convolutions of 4x4 halve the map and double its channels, from `width`; as many doublings lead back, each
    but the first beside the map of its size on the way down. In: pictures `(batch, channels, height, width)` in [-1, 1]
    of the source, of any sides that divide by `divides`. Out: pictures of the target in [-1, 1]. Sources that are
    smaller than targets are enlarged first, each pixel repeated. At the defaults and with `up = "transposed"` it has
    the paper's 54.4 million weights for RGB pictures of 256x256.

    Args:
        spec: what a target looks like.
        source: what a source looks like.
        width: channels of the first map.
        max_multiple: no map has more than `max_multiple * width` channels.
        depth: how often the map is halved; 8 for 256x256 in the paper, down to a single position.
        norm: of hidden maps: `instance` (each map by itself, as the paper's batch norm is with one picture a batch and
            the batch's own statistics in testing, as it was used), `batch`, or `none`. The first and the innermost map
            have none.
        dropout: probability that an activation of the three innermost layers on the way up is dropped while training;
            0.5 in the paper, where it also stays in testing and stands for the latent; it hardly varies the result.
        up: how maps are doubled: `nearest` (each position repeated, then a convolution), or `transposed` convolutions
            as in the paper, which show as a chequered pattern more easily.

    Raises:
        ValueError: the pictures' sizes do not fit each other, or cannot be halved so often.
    """

    def __init__(
        self,
        spec: DataSpec,
        source: DataSpec,
        *,
        width: Annotated[int, Field(ge=1, le=65_536)] = 64,
        max_multiple: Annotated[int, Field(ge=1, le=1024)] = 8,
        depth: Annotated[int, Field(ge=2, le=10)] = 8,
        norm: Literal["instance", "batch", "none"] = "instance",
        dropout: Annotated[float, Field(ge=0, lt=1)] = 0.0,
        up: Up = "nearest",
    ) -> None:
        super().__init__()
        self.factor = enlargement(spec, source)
        if spec.height % 2**depth or spec.width % 2**depth:
            most = max((n for n in range(11) if spec.height % 2**n == 0 and spec.width % 2**n == 0), default=0)
            fits = f"choose {most} or less" if most >= 2 else "cut or pack the pictures to sides that divide by 4"
            raise ValueError(f"depth = {depth}: pictures of {spec.height}x{spec.width} do not halve so often; {fits}")
        self.divides = divisor_of_sources(2**depth, self.factor)
        widths = [width * min(2**index, max_multiple) for index in range(depth)]
        self.down = nn.ModuleList()
        for index, (before, after) in enumerate(pairwise([source.channels, *widths])):
            has_norm = norm != "none" and 0 < index < depth - 1
            layers: list[nn.Module] = [nn.Conv2d(before, after, 4, 2, 1, bias=not has_norm)]
            if has_norm:
                layers.append(_norm(after, norm))
            self.down.append(nn.Sequential(*([nn.LeakyReLU(0.2)] if index else []), *layers))
        self.up = nn.ModuleList()
        for index in reversed(range(depth)):
            is_innermost = index == depth - 1
            before = widths[index] * (1 if is_innermost else 2)
            after = widths[index - 1] if index else spec.channels
            has_norm = norm != "none" and index > 0
            layers = [nn.ReLU(), doubled(before, after, up, bias=not has_norm, kernel_size=4)]
            if has_norm:
                layers.append(_norm(after, norm))
            if dropout and depth - 1 - WITH_DROPOUT <= index < depth - 1:
                layers.append(nn.Dropout(dropout))
            self.up.append(nn.Sequential(*layers))
        narrow_weights(self)

    def forward(self, source: Tensor, labels: Tensor | None = None) -> Tensor:
        """Pictures `(batch, source channels, height, width)` to targets, `factor` times larger along both sides."""
        maps = [enlarged(source, self.factor)]
        for layer in self.down:
            maps.append(layer(maps[-1]))
        made = maps.pop()
        for index, layer in enumerate(self.up):
            made = layer(made if index == 0 else torch.cat((made, maps.pop()), dim=1))
        return made.tanh()


def _norm(channels: int, norm: Literal["instance", "batch", "none"]) -> nn.Module:
    return nn.InstanceNorm2d(channels) if norm == "instance" else nn.BatchNorm2d(channels)
