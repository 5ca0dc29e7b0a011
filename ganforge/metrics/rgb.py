"""Pictures as published extractors expect them."""

import torch
from torch import Tensor

from ganforge.spec import DataSpec


def check_pictures(spec: DataSpec) -> None:
    """Refuse samples that are not grey or RGB pictures, with alpha or without.

    Raises:
        ValueError: the samples are something else; the message says what.
    """
    if not spec.is_image or (spec.channels - spec.has_alpha) not in (1, 3):
        raise ValueError(f"looks at grey or RGB pictures, and the dataset has {spec}")


def to_rgb_bytes(samples: Tensor) -> Tensor:
    """Pictures `(batch, channels, height, width)` in [-1, 1] to uint8 RGB, as 8 bits would be saved; on their device.

    Values of 16 bits and of floating point are rounded to 256 steps of their range: the extractors have learned from 8
    bits. What is transparent is put on white; colours are grey or RGB, with alpha where there is one channel more.
    """
    if samples.shape[1] in (2, 4):
        colours, opacity = samples[:, :-1], samples[:, -1:].add(1.0).div(2.0).clamp(0, 1)
        samples = (colours - 1.0) * opacity + 1.0
    pixels = samples.add(1.0).mul(127.5).round().clamp(0, 255).to(torch.uint8)  # as `ganforge.grid.to_uint8`
    return pixels.expand(-1, 3, -1, -1)
