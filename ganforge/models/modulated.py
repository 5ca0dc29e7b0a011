"""Convolutions whose input channels are weighed by a style, sample by sample (StyleGAN2, Karras et al. 2020)."""

import math

import torch
from torch import Tensor, nn
from torch.nn import functional

from ganforge.models.equalised import EqualisedLinear, activated, computes_in_half, in_full
from ganforge.models.resampling import Blur


class Modulated(nn.Module):
    """A convolution with weights `w * s` of each sample, where `s` is a learned affine function of its style.

    Activations are scaled before and after one ordinary convolution, which is the same sum as a convolution with
    weights of each sample's own (the paper, section 2.2) and has no groups whose number depends on the batch.

    Args:
        channels_in: channels of its input.
        channels: channels of its output.
        w_dim: dimension of a style.
        size: side of the kernel.
    """

    def __init__(self, channels_in: int, channels: int, w_dim: int, size: int) -> None:
        super().__init__()
        self.affine = EqualisedLinear(w_dim, channels_in, bias=1.0)
        self.weight = nn.Parameter(torch.randn(channels, channels_in, size, size))
        self.bias = nn.Parameter(torch.zeros(channels))

    def demodulation(self, weight: Tensor, styles: Tensor) -> Tensor:
        """Factors that give every output channel of every sample unit deviation, `(batch, channels)` (equation 3)."""
        with in_full(styles):
            squares = weight.to(styles.dtype).square().sum(dim=(2, 3))
            return (styles.square() @ squares.t() + 1e-8).rsqrt()


class StyledConvolution(Modulated):
    """Modulated convolution of 3x3, noise, bias and leaky ReLU: one layer of the synthesis.

    While training, every forward draws the noise from torch's random state; otherwise it is one fixed map, so that a
    sample depends on its latent alone.

    Args:
        channels_in: of its input.
        channels: of its output.
        w_dim: dimension of a style.
        shape: height and width of its output.
        up: whether it doubles the map, by a transposed convolution and the low-pass filter.
        noise: whether it adds noise.
        clamp: largest activation; 0 for no limit.
    """

    noise_const: Tensor

    def __init__(
        self,
        channels_in: int,
        channels: int,
        w_dim: int,
        shape: tuple[int, int],
        *,
        up: bool,
        noise: bool,
        clamp: float,
    ) -> None:
        super().__init__(channels_in, channels, w_dim, 3)
        if noise:
            self.register_buffer("noise_const", torch.randn(shape))
            self.noise_strength = nn.Parameter(torch.zeros([]))
        self.blur = Blur(padding=1, gain=4.0) if up else None
        self.has_noise, self.clamp = noise, clamp

    def effective(self, name: str) -> Tensor:
        """Its weight as it is used for a style of ones: filters of length 1, as demodulation leaves them."""
        if name != "weight":
            return getattr(self, name)
        return self.weight * (self.weight.square().sum(dim=(1, 2, 3), keepdim=True) + 1e-8).rsqrt()

    def forward(self, maps: Tensor, style: Tensor, gain: float = 1.0) -> Tensor:
        """Maps `(batch, channels_in, h, w)` and styles `(batch, w_dim)` to `(batch, channels, height, width)`."""
        styles, weight = self.affine(style), self.weight
        if computes_in_half(maps):  # demodulation undoes both scalings; without them float16 would overflow
            weight = weight / (math.sqrt(weight[0].numel()) * weight.abs().amax(dim=(1, 2, 3), keepdim=True))
            styles = styles / styles.abs().amax(dim=1, keepdim=True)
        scale = self.demodulation(weight, styles)
        maps, weight = maps * _per_channel(styles, maps), weight.to(maps.dtype)
        if self.blur is None:
            maps = functional.conv2d(maps, weight, padding=1)
        else:
            maps = self.blur(functional.conv_transpose2d(maps, weight.transpose(0, 1), stride=2))
        maps = maps * _per_channel(scale, maps)
        if self.has_noise:
            maps = maps + (self._noise(maps) * self.noise_strength).to(maps.dtype)
        return activated(maps, self.bias, gain=gain, clamp=self.clamp)

    def _noise(self, maps: Tensor) -> Tensor:
        if not self.training:
            return self.noise_const
        # In float32 whatever the precision of the maps, so that one seed always gives the same noise.
        return torch.randn(len(maps), 1, *maps.shape[2:], device=maps.device).to(self.noise_const.dtype)


class ToPicture(Modulated):
    """Modulated convolution of single pixels to the picture's channels, without demodulation.

    Args:
        channels_in: of its input.
        channels: of the picture.
        w_dim: dimension of a style.
        clamp: largest value; 0 for no limit.
    """

    def __init__(self, channels_in: int, channels: int, w_dim: int, *, clamp: float) -> None:
        super().__init__(channels_in, channels, w_dim, 1)
        self.weight_gain = 1.0 / math.sqrt(channels_in)
        self.clamp = clamp

    def effective(self, name: str) -> Tensor:
        """Its weight as it is used, with the scale of run time."""
        return self.weight * self.weight_gain if name == "weight" else getattr(self, name)

    def forward(self, maps: Tensor, style: Tensor) -> Tensor:
        """Maps `(batch, channels_in, height, width)` and styles `(batch, w_dim)` to `(batch, channels, ...)`."""
        styles = self.affine(style) * self.weight_gain
        picture = functional.conv2d(maps * _per_channel(styles, maps), self.weight.to(maps.dtype))
        picture = picture + self.bias.to(picture.dtype).view(1, -1, 1, 1)
        return picture.clamp(-self.clamp, self.clamp) if self.clamp > 0 else picture


def _per_channel(factors: Tensor, maps: Tensor) -> Tensor:
    """Factors `(batch, channels)` to what maps of that many channels are multiplied by."""
    return factors.to(maps.dtype)[:, :, None, None]
