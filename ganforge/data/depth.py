"""Stored values of pictures to what networks see, and back: 8 bits, 16 bits or floating point."""

import numpy as np
import torch
from torch import Tensor

from ganforge.data.dataset import Dataset
from ganforge.grid import to_uint8
from ganforge.spec import DataSpec

_TENSORS = {"uint8": torch.uint8, "uint16": torch.int16, "float32": torch.float32}
"""Torch moves few kinds of uint16; int16 of the same bits does all that is done before they are scaled."""


def tensor_type(dataset: Dataset) -> torch.dtype:
    """The type of a dataset's rows in tensors."""
    return _TENSORS[dataset.dtype.name]


def as_stored(rows: Tensor, dataset: Dataset) -> np.ndarray:
    """Rows of `tensor_type` on the host as the array that a reader fills, of the same memory."""
    return rows.numpy().view(dataset.dtype)


def as_rows(stored: np.ndarray) -> Tensor:
    """The other way round."""
    return torch.from_numpy(stored.view(np.int16) if stored.dtype == np.uint16 else stored)


def scaled(rows: Tensor, layout: torch.memory_format, spec: DataSpec | None = None) -> Tensor:
    """Rows as networks see them.

    Args:
        rows: `(batch, height, width, channels)` of `tensor_type`.
        layout: of the result in memory.
        spec: says which values become -1 and 1; None for 0 and 255.

    Returns:
        float32 `(batch, channels, height, width)` in [-1, 1].
    """
    stored = rows.permute(0, 3, 1, 2)
    pictures = torch.empty(stored.shape, dtype=torch.float32, device=rows.device, memory_format=layout)
    pictures.copy_(stored)
    if rows.dtype == torch.int16:
        pictures.add_(pictures.lt(0), alpha=2.0**16)
    if spec is None or spec.limits == (0, 255):
        return pictures.mul_(1 / 127.5).sub_(1)
    low, high = spec.limits
    return pictures.sub_(low).mul_(2 / (high - low)).sub_(1)


def stored_values(samples: Tensor, spec: DataSpec) -> np.ndarray:
    """Pictures in [-1, 1] in the values of the data, `(batch, height, width, channels)` of the spec's type.

    What lies outside is brought to the ends of the range, and whole numbers are rounded. The inverse of `scaled`.
    """
    if (spec.dtype, spec.limits) == ("uint8", (0, 255)):
        return to_uint8(samples).numpy()
    low, high = spec.limits
    share = samples.detach().double().clamp(-1, 1).add(1).div(2)
    values = share.mul_(high - low).add_(low).permute(0, 2, 3, 1).cpu().numpy()
    return (values if spec.dtype == "float32" else np.rint(values)).astype(spec.dtype)
