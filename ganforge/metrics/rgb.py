"""Pictures as published extractors expect them."""

import torch
from torch import Tensor

from ganforge.spec import DataSpec


def check_pictures(spec: DataSpec) -> None:
    """Refuse samples that are not grey or RGB pictures.

    Raises:
        ValueError: the samples are something else; the message says what.
    """
    if not spec.is_image or spec.channels not in (1, 3):
        raise ValueError(f"looks at grey or RGB pictures, and the dataset has {spec}")


def to_rgb_bytes(samples: Tensor) -> Tensor:
    """Pictures `(batch, 1 or 3, height, width)` in [-1, 1] to uint8 RGB, as they would be saved; on their device."""
    pixels = samples.add(1.0).mul(127.5).round().clamp(0, 255).to(torch.uint8)  # as `ganforge.grid.to_uint8`
    return pixels.expand(-1, 3, -1, -1)
