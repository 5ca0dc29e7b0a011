"""Halving and doubling maps through a low-pass filter, so that they do not alias (Zhang 2019)."""

import torch
from torch import Tensor, nn
from torch.nn import functional

from ganforge.models.sizes import EVEN, Odd, strided_padding


def low_pass_kernel() -> Tensor:
    """`(4, 4)` with sum 1: the outer product of [1, 3, 3, 1], which is [1, 2, 1] of StyleGAN (Karras et al. 2019) for
    maps whose pixels lie between those of the other size.
    """
    row = torch.tensor([1.0, 3.0, 3.0, 1.0])
    return torch.outer(row, row) / 64


class _Blur(nn.Module):
    kernel: Tensor

    def __init__(self) -> None:
        super().__init__()
        # Not in the state: it is a constant, and a file of weights should not be able to change it.
        self.register_buffer("kernel", low_pass_kernel(), persistent=False)

    def filters(self, like: Tensor) -> Tensor:
        return self.kernel.to(like.dtype).expand(like.shape[1], 1, 4, 4)


class BlurDownsample(_Blur):
    """Halves a map: low-pass filter, then every other pixel (Zhang 2019; the filter of R3GAN, Huang et al. 2024).

    `(batch, channels, height, width)` to `(batch, channels, height / 2, width / 2)`; outside of the map is 0.

    Args:
        odd: which sides of the map are odd; their half is rounded up.
    """

    def __init__(self, odd: Odd = EVEN) -> None:
        super().__init__()
        self.padding, _ = strided_padding(4, odd)

    def forward(self, maps: Tensor) -> Tensor:
        return functional.conv2d(maps, self.filters(maps), stride=2, padding=self.padding, groups=maps.shape[1])


class BlurUpsample(_Blur):
    """Doubles a map: zeros between its pixels, then the low-pass filter, which is bilinear interpolation.

    `(batch, channels, height, width)` to `(batch, channels, 2 height, 2 width)`; outside of the map is 0. As in R3GAN
    (Huang et al. 2024) and StyleGAN (Karras et al. 2019).

    Args:
        odd: which sides of the doubled map are odd; they are one less.
    """

    def __init__(self, odd: Odd = EVEN) -> None:
        super().__init__()
        self.padding, self.output_padding = strided_padding(4, odd)

    def forward(self, maps: Tensor) -> Tensor:
        filters = 4 * self.filters(maps)
        return functional.conv_transpose2d(
            maps, filters, None, 2, self.padding, self.output_padding, groups=maps.shape[1]
        )


class Blur(_Blur):
    """The low-pass filter alone, beside a convolution that halves or doubles the map itself (Karras et al. 2019).

    `(batch, channels, height, width)` to maps of `height + 2 padding - 3`; outside of the map is 0.

    Args:
        padding: rows and columns of zeros on each side; 2 before a convolution of 3x3 with stride 2, 1 after a
            transposed one.
        gain: multiplies the result; 4 after a transposed convolution, which leaves three pixels of four empty.
    """

    def __init__(self, padding: int, gain: float = 1.0) -> None:
        super().__init__()
        self.padding = padding
        self.gain = gain

    def forward(self, maps: Tensor) -> Tensor:
        filters = self.gain * self.filters(maps)
        return functional.conv2d(maps, filters, padding=self.padding, groups=maps.shape[1])
