"""The blocks of residual networks that double and halve maps (SNGAN, Miyato et al. 2018, appendix B.4)."""

import math
from typing import Literal

from torch import Tensor, nn

from ganforge.models.conditioning import LabelledSequential, TakesLabels
from ganforge.models.layers import LayerStyle
from ganforge.models.resampling import BlurDownsample, BlurUpsample
from ganforge.models.sizes import NearestUpsample, Odd

Resample = Literal["plain", "blur"]


class GrowingBlock(TakesLabels, nn.Module):
    """Batch norm, ReLU, doubling, convolution, batch norm, ReLU, convolution, beside a doubled 1x1 convolution."""

    def __init__(
        self, channels_in: int, channels: int, style: LayerStyle, spectral: bool, resample: Resample, odd: Odd
    ) -> None:
        super().__init__()
        self.doubled = NearestUpsample(odd) if resample == "plain" else BlurUpsample(odd)
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
    that of its output, as in all blocks of a `wide` network. `halved` says which sides of its input are odd, or None
    that it keeps them.
    """

    def __init__(
        self,
        channels_in: int,
        channels: int,
        spectral: bool,
        resample: Resample,
        *,
        is_first: bool,
        halved: Odd | None,
        wide: bool = False,
    ) -> None:
        super().__init__()
        hidden = channels if is_first or wide else channels_in
        self.halved: nn.Module = nn.Identity()
        if halved is not None:
            # At the end of an odd side the mean is over the one row that is left.
            self.halved = nn.AvgPool2d(2, ceil_mode=any(halved)) if resample == "plain" else BlurDownsample(halved)
        # The low-pass filter would weaken this bias at the edges; the shortcut's, beside it, is added after the filter.
        last_bias = halved is None or resample == "plain"
        layers: list[nn.Module] = [] if is_first else [nn.ReLU()]
        self.residual = nn.Sequential(
            *layers,
            glorot(nn.Conv2d(channels_in, hidden, 3, padding=1), math.sqrt(2), spectral),
            nn.ReLU(),
            glorot(nn.Conv2d(hidden, channels, 3, padding=1, bias=last_bias), math.sqrt(2), spectral),
        )
        self.shortcut: nn.Module = nn.Identity()
        if halved is not None or channels_in != channels:
            self.shortcut = glorot(nn.Conv2d(channels_in, channels, 1), 1.0, spectral)

    def forward(self, maps: Tensor) -> Tensor:
        return self.halved(self.residual(maps)) + self.shortcut(self.halved(maps))


def glorot(layer: nn.Conv2d | nn.Linear, gain: float, spectral: bool) -> nn.Module:
    """The layer with Glorot uniform weights, bias 0 and, where asked for, spectral norm."""
    nn.init.xavier_uniform_(layer.weight, gain)
    if layer.bias is not None:
        nn.init.zeros_(layer.bias)
    return LayerStyle("spectral" if spectral else "none", "relu", 0.0).prepared(layer)
