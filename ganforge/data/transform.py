"""What happens to a batch on the device: scale, flip, shift, turn, layout.

The parameters of a sample are hashed from the seed and its position in the endless order, never
drawn from a random state, so they do not depend on ranks, workers or restarts.
"""

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from ganforge.data.batches.ahead import Ahead
from ganforge.data.batches.source import RankSlice
from ganforge.data.depth import scaled
from ganforge.data.transfer import to_device
from ganforge.spec import DataSpec


def uniform(seed: int, positions: np.ndarray, stream: int) -> np.ndarray:
    """Numbers in [0, 1) hashed from seed, position and stream, float64 `(len(positions),)`."""
    key = (seed * 0x9E3779B97F4A7C15 + stream * 0xD1B54A32D192ED03) & 0xFFFFFFFFFFFFFFFF
    values = positions.astype(np.uint64) * np.uint64(0x9E3779B97F4A7C15) + np.uint64(key)
    for multiplier, shift in ((0xBF58476D1CE4E5B9, 30), (0x94D049BB133111EB, 27)):
        values = (values ^ (values >> np.uint64(shift))) * np.uint64(multiplier)
    values ^= values >> np.uint64(31)
    return (values >> np.uint64(11)).astype(np.float64) * 2.0**-53


class Transform:
    """Rows as they are stored to float32 pictures in [-1, 1].

    Args:
        seed: of the recipe.
        part: of each batch that is this rank's.
        device: where the rows are.
        flip: mirror half of the pictures left to right.
        crop: shift by up to this many pixels.
        rotate: turn by up to this many degrees.
        channels_last: lay the pictures out as they are stored, which convolutions on many devices prefer.
        spec: of the pictures, for the values that become -1 and 1; None for 0 and 255.
    """

    def __init__(
        self,
        seed: int,
        part: RankSlice,
        device: torch.device,
        *,
        flip: bool = False,
        crop: int = 0,
        rotate: float = 0.0,
        channels_last: bool = False,
        spec: DataSpec | None = None,
    ) -> None:
        self.seed = seed
        self.spec = spec
        self.flip = flip
        self.crop = crop
        self.rotate = rotate
        self._layout = torch.channels_last if channels_last else torch.contiguous_format
        self._is_mirrored = Ahead(lambda start, count: self._uniform(start, count, 1) < 0.5, part, device)
        self._shifts = Ahead(self._draw_shifts, part, device)

    def __call__(self, rows: Tensor, start: int) -> Tensor:
        """Samples as networks see them.

        Args:
            rows: `(batch, height, width, channels)`, as `depth.tensor_type` has them; may be written to.
            start: position of the first in the endless order.

        Returns:
            float32 `(batch, channels, height, width)`.
        """
        # Flips and shifts only move pixels, so they come before scaling, while a pixel is a byte or two a channel.
        # Turns mix them, and a shift comes after a turn.
        if self.rotate:
            return self._turned_and_shifted(rows, start)
        if self.crop:
            rows = self._shifted(rows, start, flip=self.flip)
        elif self.flip:
            rows = self._flipped(rows, start)
        return scaled(rows, self._layout, self.spec)

    def _uniform(self, start: int, count: int, stream: int) -> np.ndarray:
        return uniform(self.seed, np.arange(start, start + count), stream)

    def _draw_shifts(self, start: int, count: int) -> np.ndarray:
        """Down and across, int64 `(2, count)`, 0 for the farthest shift down and right."""
        span = 2 * self.crop + 1
        return np.stack([self._uniform(start, count, stream) * span for stream in (2, 3)]).astype(np.int64)

    def _flipped(self, rows: Tensor, start: int) -> Tensor:
        is_mirrored = self._is_mirrored(start)
        if rows.device.type == "cpu":  # half of the work; on an accelerator the host would wait for their number
            chosen = is_mirrored.nonzero().squeeze(1)
            return rows.index_copy_(0, chosen, rows.index_select(0, chosen).flip(2))
        return torch.where(is_mirrored[:, None, None, None], rows.flip(2), rows)

    def _shifted(self, rows: Tensor, start: int, *, flip: bool) -> Tensor:
        """Pictures `(batch, height, width, channels)`, flipped and then shifted, as one selection of pixels."""
        batch, height, width, channels = rows.shape
        down, across = self._shifts(start)
        lines = self._reflected(down[:, None] + torch.arange(height, device=rows.device), height)
        columns = self._reflected(across[:, None] + torch.arange(width, device=rows.device), width)
        if flip:
            columns = torch.where(self._is_mirrored(start)[:, None], width - 1 - columns, columns)
        lines += torch.arange(0, batch * height, height, device=rows.device)[:, None]
        pixels = lines[:, :, None] * width + columns[:, None, :]
        return rows.reshape(-1, channels).index_select(0, pixels.flatten()).view(rows.shape)

    def _reflected(self, places: Tensor, size: int) -> Tensor:
        """From places in a picture with a mirrored border of `crop` pixels to those in the picture itself."""
        return (size - 1) - ((places - self.crop).abs() - (size - 1)).abs()

    def _turned_and_shifted(self, rows: Tensor, start: int) -> Tensor:
        if self.flip:
            rows = self._flipped(rows, start)
        pictures = self._turned(scaled(rows, torch.contiguous_format, self.spec), start)
        if self.crop:
            pictures = self._shifted(pictures.permute(0, 2, 3, 1), start, flip=False).permute(0, 3, 1, 2)
        return pictures.contiguous(memory_format=self._layout)

    def _turned(self, pictures: Tensor, start: int) -> Tensor:
        height, width = pictures.shape[2:]
        angles = np.radians((2 * self._uniform(start, len(pictures), 4) - 1) * self.rotate)
        cosine, sine = np.cos(angles), np.sin(angles)
        # grid_sample works in coordinates from -1 to 1 on both axes: undo and redo the proportions.
        zero = np.zeros_like(angles)
        matrix = np.stack(
            [np.stack([cosine, -sine * height / width, zero], 1), np.stack([sine * width / height, cosine, zero], 1)], 1
        )
        theta = to_device(matrix.astype(np.float32), pictures.device)
        grid = functional.affine_grid(theta, list(pictures.shape), align_corners=False)
        turned = functional.grid_sample(pictures, grid, mode="bilinear", padding_mode="reflection", align_corners=False)
        return turned.clamp_(-1, 1)
