"""The precision in which losses add up."""

import torch
from torch import Tensor


def at_least_float32(logits: Tensor) -> Tensor:
    """Logits `(batch,)` in a precision in which a mean over the batch is exact enough; float64 stays."""
    return logits.float() if logits.dtype in (torch.float16, torch.bfloat16) else logits
