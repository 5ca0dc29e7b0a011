"""The layers at both ends of a picture network, in forms that a CPU computes faster: the same functions to rounding.

A CPU's kernels fill their vectors with channels, so what makes three channels leaves most of a vector empty, and a
convolution between one position and a map does a matrix product's work at a fraction of its speed. Each class here is
one of `torch.nn` with the same weights under the same names. On a GPU, under autocast and in what is compiled or
exported it runs torch's own layer.
"""

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.grad import conv2d_weight

from ganforge.models.sizes import EVEN, Odd, strided_padding

FEW_CHANNELS = 4
"""Pictures have at most this many channels, and four times as many still fit a vector of 16."""


def doubling(channels_in: int, channels_out: int, kernel_size: int, bias: bool, odd: Odd = EVEN) -> nn.ConvTranspose2d:
    """A transposed convolution that doubles the map, less one where `odd` says so, for kernels of even and odd side."""
    few = kernel_size == 4 and channels_out <= FEW_CHANNELS and odd == EVEN
    kind = PictureDoubling if few else nn.ConvTranspose2d
    padding, output_padding = strided_padding(kernel_size, odd)
    return kind(channels_in, channels_out, kernel_size, 2, padding, output_padding, bias=bias)


def halving(channels_in: int, channels_out: int, kernel_size: int, bias: bool, odd: Odd = EVEN) -> nn.Conv2d:
    """A convolution that halves the map, odd sides of which are rounded up, for kernels of even and odd side."""
    kind = PictureHalving if kernel_size == 4 and channels_in <= FEW_CHANNELS and odd == EVEN else nn.Conv2d
    padding, _ = strided_padding(kernel_size, odd)
    return kind(channels_in, channels_out, kernel_size, stride=2, padding=padding, bias=bias)


class FirstMap(nn.ConvTranspose2d):
    """A transposed convolution from `(batch, features, 1, 1)` to a map of the kernel's size: a matrix product."""

    def forward(self, input: Tensor, output_size: list[int] | None = None) -> Tensor:
        if output_size is not None or not _is_plain_cpu(input):
            return super().forward(input, output_size)
        features = input.flatten(1)
        if self.weight.is_contiguous():
            maps = (features @ self.weight.flatten(1)).unflatten(1, self.weight.shape[1:])
        else:
            _, channels, height, width = self.weight.shape
            product = features @ self.weight.permute(0, 2, 3, 1).flatten(1)
            maps = product.unflatten(1, (height, width, channels)).permute(0, 3, 1, 2)
        return maps if self.bias is None else maps + self.bias[:, None, None]


class LastMap(nn.Conv2d):
    """A convolution from a map of the kernel's size to `(batch, channels, 1, 1)`: a linear layer."""

    def forward(self, input: Tensor) -> Tensor:
        if not _is_plain_cpu(input):
            return super().forward(input)
        weight = self.weight
        if is_channels_last(input):
            input, weight = input.permute(0, 2, 3, 1), weight.permute(0, 2, 3, 1)
        return functional.linear(input.flatten(1), weight.flatten(1), self.bias)[..., None, None]


class PictureDoubling(nn.ConvTranspose2d):
    """A transposed convolution of 4x4 with stride 2 from maps to pictures: see `Doubled`."""

    def forward(self, input: Tensor, output_size: list[int] | None = None) -> Tensor:
        if output_size is None and _is_plain_cpu(input) and is_channels_last(input):
            return Doubled.apply(input, self.weight, self.bias)
        return super().forward(input, output_size)


class PictureHalving(nn.Conv2d):
    """A convolution of 4x4 with stride 2 from pictures to maps, the gradient of whose pictures is a `Doubled`."""

    def forward(self, input: Tensor) -> Tensor:
        if _is_plain_cpu(input) and input.requires_grad and is_channels_last(input):
            return Halved.apply(input, self.weight, self.bias)
        return super().forward(input)


class Doubled(torch.autograd.Function):
    """`conv_transpose2d(maps, weight, bias, stride=2, padding=1)` for 4x4 kernels, differentiable any number of times.

    Rows 2m - 1 and 2m of the pictures depend on rows m - 1 and m of the maps alone, and columns likewise. So a
    convolution of 2x2 computes four pixels at once, as four times the channels.
    """

    @staticmethod
    def forward(ctx: Any, maps: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        ctx.save_for_backward(maps, weight)
        channels_in, channels = weight.shape[:2]
        # Row k of the kernel leads from row 1 - k // 2 of a window to row k % 2 of its pixels.
        taps = weight.view(channels_in, channels, 2, 2, 2, 2).flip(2, 4).permute(3, 5, 1, 0, 2, 4)
        kernel = taps.reshape(4 * channels, channels_in, 2, 2).contiguous(memory_format=torch.channels_last)
        windows = functional.conv2d(maps, kernel, None if bias is None else bias.repeat(4), padding=1)
        batch, _, height, width = windows.shape
        pixels = windows.permute(0, 2, 3, 1).reshape(batch, height, width, 2, 2 * channels).transpose(2, 3)
        pixels = pixels.reshape(batch, 2 * height, 2 * width, channels)
        return pixels[:, 1:-1, 1:-1].contiguous().permute(0, 3, 1, 2)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        maps, weight = ctx.saved_tensors
        (gradient,) = gradients
        for_maps, for_weight, for_bias = ctx.needs_input_grad
        return (
            functional.conv2d(gradient, weight, stride=2, padding=1) if for_maps else None,
            weight_gradient(gradient, weight, maps) if for_weight else None,
            gradient.sum((0, 2, 3)) if for_bias else None,
        )


class Halved(torch.autograd.Function):
    """`conv2d(pictures, weight, bias, stride=2, padding=1)` for 4x4 kernels, differentiable any number of times."""

    @staticmethod
    def forward(ctx: Any, pictures: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        ctx.save_for_backward(pictures, weight)
        return functional.conv2d(pictures, weight, bias, stride=2, padding=1)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        pictures, weight = ctx.saved_tensors
        (gradient,) = gradients
        for_pictures, for_weight, for_bias = ctx.needs_input_grad
        return (
            Doubled.apply(gradient, weight, None) if for_pictures else None,
            weight_gradient(pictures, weight, gradient) if for_weight else None,
            gradient.sum((0, 2, 3)) if for_bias else None,
        )


def weight_gradient(pictures: Tensor, weight: Tensor, gradient: Tensor) -> Tensor:
    """Gradient of a convolution's weight, from its pictures and the gradient of its maps."""
    return conv2d_weight(pictures, list(weight.shape), gradient, stride=2, padding=1)


def is_channels_last(maps: Tensor) -> bool:
    """Whether a map lies in memory as (batch, height, width, channels)."""
    return maps.is_contiguous(memory_format=torch.channels_last)


def _is_plain_cpu(input: Tensor) -> bool:
    """Whether a CPU computes each operation as it is written here, in the input's own precision."""
    return input.device.type == "cpu" and not torch.is_autocast_enabled("cpu") and not torch.compiler.is_compiling()
