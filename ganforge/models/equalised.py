"""Layers with an equalised learning rate: weights are N(0, 1) and get their scale whenever they are used.

All weights then have one size, so that Adam moves all of them at one relative speed (Karras et al. 2018, section 4.1).
`effective` gives them with that scale, for whatever compares or punishes weights; clipping sees them without it.
"""

import math
from contextlib import AbstractContextManager, nullcontext
from typing import Annotated, Literal

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional

from ganforge.models.resampling import Blur, BlurDownsample, BlurUpsample

SLOPE = 0.2
GAIN = math.sqrt(2.0)
"""Keeps the second moment through a leaky ReLU, nearly (He et al. 2015, for a slope of 0)."""

ChannelBase = Annotated[int, Field(ge=1, le=2**20)]
ChannelMax = Annotated[int, Field(ge=1, le=2**20)]
MappingLayers = Annotated[int, Field(ge=1, le=2**20)]
MappingRate = Annotated[float, Field(gt=0)]
Clamp = Annotated[float, Field(ge=0)]
HalfBlocks = Annotated[int, Field(ge=0, le=16)]
Half = Literal["bf16", "fp16"]
FULL_ON = ("cpu",)
"""Devices on which half blocks compute in full: there 16 bits are slow, and the double backward of wide maps has been
seen to end the process (a division by zero in oneDNN, torch 2.14)."""
HALF_TYPES: dict[Half, torch.dtype] = {"bf16": torch.bfloat16, "fp16": torch.float16}


def in_full(tensor: Tensor) -> AbstractContextManager[object]:
    """While inside, autocast leaves the device of this tensor alone."""
    kind = tensor.device.type
    # Entered only where there is something to turn off: exported graphs then know nothing of it.
    return torch.autocast(kind, enabled=False) if torch.is_autocast_enabled(kind) else nullcontext()


def computes_in_half(tensor: Tensor) -> bool:
    """Whether a convolution of this tensor computes in 16 bits."""
    return tensor.dtype in HALF_TYPES.values() or torch.is_autocast_enabled(tensor.device.type)


def at_least_float32(values: Tensor) -> Tensor:
    """16-bit values converted to 32 bits; wider ones unchanged."""
    return values.to(torch.promote_types(values.dtype, torch.float32))


def of_block(maps: Tensor, dtype: torch.dtype | None) -> Tensor:
    """Maps in the type of a block: its own, or that of the network, into which a half block may lead."""
    if dtype is not None and maps.device.type not in FULL_ON:
        return maps.to(dtype)
    return maps if torch.is_autocast_enabled(maps.device.type) else at_least_float32(maps)


def activated(values: Tensor, bias: Tensor, *, gain: float = 1.0, clamp: float = 0.0) -> Tensor:
    """Bias, leaky ReLU and the gain that keeps the size of numbers, cut off beyond `clamp` (0 for never)."""
    shape = (1, -1, *(1 for _ in values.shape[2:]))
    values = functional.leaky_relu(values + bias.to(values.dtype).view(shape), SLOPE) * (GAIN * gain)
    return values.clamp(-clamp * gain, clamp * gain) if clamp > 0 else values


class EqualisedLinear(nn.Module):
    """A linear layer, in float32 or wider whatever the precision of the rest.

    Args:
        features_in: features of its input `(batch, features_in)`.
        features: features of its output.
        activation: whether a leaky ReLU of slope 0.2 follows.
        rate: factor on the learning rate of this layer: weights start 1 / rate times as large, and both weights and
            biases are multiplied by rate when used.
        bias: initial value of all biases.
    """

    def __init__(
        self, features_in: int, features: int, *, activation: bool = False, rate: float = 1.0, bias: float = 0.0
    ) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(features, features_in) / rate)
        self.bias = nn.Parameter(torch.full((features,), bias))
        self.weight_gain = rate / math.sqrt(features_in)
        self.bias_gain = rate
        self.has_activation = activation

    def effective(self, name: str) -> Tensor:
        """Its weight or bias as it is used, with the scale of run time."""
        return self.weight * self.weight_gain if name == "weight" else self.bias * self.bias_gain

    def forward(self, values: Tensor) -> Tensor:
        with in_full(values):
            values = at_least_float32(values)
            weight = self.weight.to(values.dtype) * self.weight_gain
            bias = self.bias.to(values.dtype) * self.bias_gain
            if self.has_activation:
                return activated(functional.linear(values, weight), bias)
            return functional.linear(values, weight, bias)


class EqualisedConvolution(nn.Module):
    """A convolution, low-pass filtered where it halves or doubles the map (Karras et al. 2020).

    Args:
        channels_in: of its input.
        channels: of its output.
        size: side of its kernel, 1 or 3.
        scale: 2 to double height and width (`size` 1 alone), 0.5 to halve them.
        activation: whether bias and leaky ReLU of slope 0.2 follow; without, there is no bias.
        clamp: largest activation; 0 for no limit.
    """

    def __init__(
        self,
        channels_in: int,
        channels: int,
        size: int,
        *,
        scale: float = 1.0,
        activation: bool = True,
        clamp: float = 0.0,
    ) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(channels, channels_in, size, size))
        self.bias = nn.Parameter(torch.zeros(channels)) if activation else None
        self.weight_gain = 1.0 / math.sqrt(channels_in * size**2)
        self.clamp = clamp
        self.stride = 1
        self.padding = size // 2
        before: nn.Module = nn.Identity()
        after: nn.Module = nn.Identity()
        if scale == 2.0:
            assert size == 1, "a transposed convolution of 3x3 is modulated in this family"
            after = BlurUpsample()  # after a convolution of single pixels it costs a quarter of what it would before
        elif scale == 0.5 and size == 1:
            before = BlurDownsample()
        elif scale == 0.5:
            before, self.stride, self.padding = Blur(padding=2), 2, 0
        self.before, self.after = before, after

    def effective(self, name: str) -> Tensor:
        """Its weight or bias as it is used, with the scale of run time."""
        return self.weight * self.weight_gain if name == "weight" else getattr(self, name)

    def forward(self, maps: Tensor, gain: float = 1.0) -> Tensor:
        """`(batch, channels_in, height, width)` to maps of `scale` times the size, times `gain`."""
        weight = (self.weight * self.weight_gain).to(maps.dtype)
        maps = self.after(functional.conv2d(self.before(maps), weight, stride=self.stride, padding=self.padding))
        return maps * gain if self.bias is None else activated(maps, self.bias, gain=gain, clamp=self.clamp)
