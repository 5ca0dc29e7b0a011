"""Small arrays from the host to the device, without the host waiting for it."""

import numpy as np
import torch
from torch import Tensor


def to_device(values: np.ndarray, device: torch.device | str) -> Tensor:
    """A tensor of the values; by pinned memory to a GPU, since a copy from elsewhere may wait for its work to end."""
    tensor = torch.tensor(values)  # a copy, since some arrays are read-only
    if torch.device(device).type == "cuda":
        return tensor.pin_memory().to(device, non_blocking=True)
    return tensor.to(device)
