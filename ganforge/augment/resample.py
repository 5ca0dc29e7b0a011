"""Pictures seen through a linear map: translations, rotations and stretches in one bilinear look-up.

`torch.nn.functional.grid_sample` has no second derivative, which gradient penalties need; looking up four neighbours by
index can be differentiated any number of times.
"""

from typing import Literal

import torch
from torch import Tensor

Padding = Literal["zeros", "reflect"]


def resample(pictures: Tensor, to_source: Tensor, padding: Padding) -> Tensor:
    """Look up every pixel of the result in the pictures, with bilinear interpolation.

    Args:
        pictures: `(batch, channels, height, width)` of any floating type.
        to_source: `(batch, 3, 3)`, float32 or wider: takes a result's pixel (x, y, 1) to where it lies in the source,
            in pixels from the centre, x to the right and y downwards. The identity gives back the pictures exactly.
        padding: what is beyond the edges: `zeros` (the middle of the range), or the picture, reflected.

    Returns:
        `(batch, channels, height, width)`; no value is outside the range of the pictures and 0.
    """
    batch, channels, height, width = pictures.shape
    centre_x, centre_y = (width - 1) / 2, (height - 1) / 2
    x = torch.arange(width, dtype=to_source.dtype, device=pictures.device) - centre_x
    y = torch.arange(height, dtype=to_source.dtype, device=pictures.device) - centre_y
    matrix = to_source[:, :2, :, None, None]  # (batch, 2, 3, 1, 1)
    place = matrix[:, :, 0] * x[None, :] + matrix[:, :, 1] * y[:, None] + matrix[:, :, 2]
    left, top = (place[:, 0] + centre_x).flatten(1), (place[:, 1] + centre_y).flatten(1)  # (batch, height * width)
    flat = pictures.flatten(2)
    total = torch.zeros_like(flat)
    for along_x, weight_x in _neighbours(left):
        for along_y, weight_y in _neighbours(top):
            weight = weight_x * weight_y
            if padding == "zeros":
                is_inside = (along_x >= 0) & (along_x < width) & (along_y >= 0) & (along_y < height)
                weight = weight * is_inside
                along_x, along_y = along_x.clamp(0, width - 1), along_y.clamp(0, height - 1)
            else:
                along_x, along_y = _reflected(along_x, width), _reflected(along_y, height)
            index = (along_y * width + along_x)[:, None].expand(-1, channels, -1)
            total = total + flat.gather(2, index) * weight[:, None].to(pictures.dtype)
    return total.view(batch, channels, height, width)


def _neighbours(place: Tensor) -> tuple[tuple[Tensor, Tensor], ...]:
    """The two pixels that a place lies between, and their weights."""
    below = place.floor()
    share = place - below
    below = below.long()
    return (below, 1 - share), (below + 1, share)


def _reflected(index: Tensor, size: int) -> Tensor:
    """Any index as one inside, mirrored at the centres of the outer pixels."""
    if size == 1:
        return torch.zeros_like(index)
    index = index.remainder(2 * (size - 1))
    return torch.minimum(index, 2 * (size - 1) - index)


def matrices(rows: tuple[tuple[Tensor | float, ...], ...], like: Tensor) -> Tensor:
    """`(batch, 3, 3)` from three rows of three entries, each a number or `(batch,)`.

    Args:
        rows: the entries.
        like: `(batch,)`, for batch, type and device.
    """
    return torch.stack([torch.stack([like.new_zeros(()) + entry + 0 * like for entry in row], 1) for row in rows], 1)
