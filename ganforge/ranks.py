"""Statistics of the global batch, for losses that compare samples with each other.

A mean over the samples of one rank is another number than the mean over all. Where a loss is not linear in such
a mean, ranks must share it, or two ranks train something else than one process with the whole batch.
"""

from typing import Any

import torch
import torch.distributed
from torch import Tensor


class _SumOverRanks(torch.autograd.Function):
    """The sum of a tensor over all ranks, whose derivative is the sum of all ranks' derivatives."""

    @staticmethod
    def forward(ctx: Any, tensor: Tensor) -> Tensor:
        total = tensor.clone(memory_format=torch.contiguous_format)
        torch.distributed.all_reduce(total)
        return total

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Tensor:
        return _SumOverRanks.apply(gradients[0])  # type: ignore[return-value]


def sum_over_ranks(tensor: Tensor) -> Tensor:
    """The sum of a tensor over all ranks, differentiable any number of times; all call it together."""
    return _SumOverRanks.apply(tensor)  # type: ignore[return-value]


def mean_over_ranks(tensor: Tensor) -> Tensor:
    """The mean of a tensor over all ranks, differentiable; the tensor itself where there is one process.

    All ranks must call it together, with the same shape. When every rank's loss is made of it and gradients are then
    averaged over ranks, as DDP does, the gradient is that of one process with the global batch.
    """
    if not torch.distributed.is_available() or not torch.distributed.is_initialized():
        return tensor
    ranks = torch.distributed.get_world_size()
    return tensor if ranks == 1 else sum_over_ranks(tensor) / ranks


def gathered_over_ranks(tensor: Tensor) -> Tensor:
    """The tensors of all ranks in their order, along the first dimension, without a graph; all call it together.

    Args:
        tensor: of the same shape on every rank.
    """
    if not torch.distributed.is_available() or not torch.distributed.is_initialized():
        return tensor.detach()
    parts = [torch.empty_like(tensor) for _ in range(torch.distributed.get_world_size())]
    torch.distributed.all_gather(parts, tensor.detach().contiguous())
    return torch.cat(parts)
