"""Self-attention: every position of a map looks at all others."""

import torch
from torch import Tensor, nn
from torch.nn import functional

from ganforge.models.layers import LayerStyle


class SelfAttention(nn.Module):
    """Adds to each position a mix of all positions, chosen by content (SAGAN, Zhang et al. 2019, section 3).

    Queries and keys have an eighth of the channels, values half of them; keys and values are taken from a map of half
    the side, by maximum, as the authors' code does. The sum's weight starts at 0, so that at first it changes nothing.
    It uses plain matrix products, because fused attention kernels cannot be differentiated twice.

    Args:
        channels: channels of the map, at least 8.
        style: how its 1x1 convolutions are made (spectral norm, in the paper).
    """

    def __init__(self, channels: int, style: LayerStyle) -> None:
        super().__init__()
        few, half = max(1, channels // 8), max(1, channels // 2)
        self.query = style.prepared(nn.Conv2d(channels, few, 1, bias=False))
        self.key = style.prepared(nn.Conv2d(channels, few, 1, bias=False))
        self.value = style.prepared(nn.Conv2d(channels, half, 1, bias=False))
        self.output = style.prepared(nn.Conv2d(half, channels, 1, bias=False))
        self.weight = nn.Parameter(torch.zeros(()))

    def forward(self, features: Tensor) -> Tensor:
        """`(batch, channels, height, width)` to the same, both sides even."""
        query = self.query(features).flatten(2)
        key = functional.max_pool2d(self.key(features), 2).flatten(2)
        value = functional.max_pool2d(self.value(features), 2).flatten(2)
        # (batch, positions, smaller positions): how much each position takes from each of the smaller map.
        attention = torch.softmax(query.transpose(1, 2) @ key, dim=-1)
        mixed = (value @ attention.transpose(1, 2).to(value.dtype)).unflatten(2, features.shape[2:])
        return features + self.weight * self.output(mixed)
