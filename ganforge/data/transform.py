"""What happens to a batch on the device: scale, flip, shift, turn, layout.

The parameters of a sample are hashed from the seed and its position in the endless order, never
drawn from a random state, so they do not depend on ranks, workers or restarts.
"""

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from ganforge.data.transfer import to_device


def uniform(seed: int, positions: np.ndarray, stream: int) -> np.ndarray:
    """Numbers in [0, 1) hashed from seed, position and stream, float64 `(len(positions),)`."""
    key = (seed * 0x9E3779B97F4A7C15 + stream * 0xD1B54A32D192ED03) & 0xFFFFFFFFFFFFFFFF
    values = positions.astype(np.uint64) * np.uint64(0x9E3779B97F4A7C15) + np.uint64(key)
    for multiplier, shift in ((0xBF58476D1CE4E5B9, 30), (0x94D049BB133111EB, 27)):
        values = (values ^ (values >> np.uint64(shift))) * np.uint64(multiplier)
    values ^= values >> np.uint64(31)
    return (values >> np.uint64(11)).astype(np.float64) * 2.0**-53


class Transform:
    """uint8 rows to float32 pictures in [-1, 1].

    Args:
        seed: of the recipe.
        flip: mirror half of the pictures left to right.
        crop: shift by up to this many pixels.
        rotate: turn by up to this many degrees.
    """

    def __init__(self, seed: int, *, flip: bool = False, crop: int = 0, rotate: float = 0.0) -> None:
        self.seed = seed
        self.flip = flip
        self.crop = crop
        self.rotate = rotate

    def __call__(self, rows: Tensor, positions: np.ndarray) -> Tensor:
        """uint8 `(batch, height, width, channels)` to float32 `(batch, channels, height, width)`."""
        if self.flip:
            mirrored = to_device(uniform(self.seed, positions, 1) < 0.5, rows.device)
            rows = torch.where(mirrored[:, None, None, None], rows.flip(2), rows)
        pictures = torch.empty(
            (rows.shape[0], rows.shape[3], rows.shape[1], rows.shape[2]), dtype=torch.float32, device=rows.device
        )
        pictures.copy_(rows.permute(0, 3, 1, 2)).mul_(1 / 127.5).sub_(1)
        if self.rotate:
            pictures = self._turned(pictures, positions)
        if self.crop:
            pictures = self._shifted(pictures, positions)
        return pictures

    def _shifted(self, pictures: Tensor, positions: np.ndarray) -> Tensor:
        height, width = pictures.shape[2:]
        span = 2 * self.crop + 1
        shifts = np.stack([uniform(self.seed, positions, stream) * span for stream in (2, 3)])
        down, across = to_device(shifts.astype(np.int64), pictures.device)
        padded = functional.pad(pictures, (self.crop,) * 4, mode="reflect")
        rows = down[:, None] + torch.arange(height, device=pictures.device)
        columns = across[:, None] + torch.arange(width, device=pictures.device)
        batch = torch.arange(len(pictures), device=pictures.device)[:, None, None]
        return padded[batch, :, rows[:, :, None], columns[:, None, :]].permute(0, 3, 1, 2).contiguous()

    def _turned(self, pictures: Tensor, positions: np.ndarray) -> Tensor:
        height, width = pictures.shape[2:]
        angles = np.radians((2 * uniform(self.seed, positions, 4) - 1) * self.rotate)
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
