"""Batch norm over all ranks where torch has none: on CPUs, and under penalties that differentiate twice."""

import torch
import torch.distributed
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm  # pyright: ignore[reportPrivateUsage]

from ganforge.ranks import sum_over_ranks


class RankBatchNorm(_BatchNorm):
    """Batch norm (Ioffe and Szegedy 2015) whose statistics are those of the global batch, `(batch, channels, ...)`.

    One small all-reduce per forward and one per backward, of mean and variance of every rank. Every rank must
    have the same number of samples, and all must call it together. Evaluation uses the running statistics.
    """

    def forward(self, input: Tensor) -> Tensor:
        if not self.training:
            return nn.functional.batch_norm(
                input, self.running_mean, self.running_var, self.weight, self.bias, eps=self.eps
            )
        dims = [0, *range(2, input.dim())]
        variance, mean = torch.var_mean(input.to(torch.promote_types(input.dtype, torch.float32)), dims, correction=0)
        ranks = torch.distributed.get_world_size()
        mean, variance = _combined(mean, variance, ranks)
        self._follow(mean.detach(), variance.detach(), count=ranks * input.numel() // input.shape[1])
        scale = torch.rsqrt(variance + self.eps)
        shift = -mean * scale
        if self.affine:
            shift = shift * self.weight + self.bias
            scale = scale * self.weight
        shape = (1, -1, *(1 for _ in dims[1:]))
        return (input * scale.view(shape) + shift.view(shape)).to(input.dtype)

    @torch.no_grad()
    def _follow(self, mean: Tensor, variance: Tensor, count: int) -> None:
        """Move the running statistics towards those of this batch; the variance's is the unbiased one, as in torch."""
        if self.running_mean is None or self.running_var is None or self.num_batches_tracked is None:
            return
        self.num_batches_tracked.add_(1)
        weight = 1.0 / float(self.num_batches_tracked) if self.momentum is None else self.momentum
        self.running_mean.lerp_(mean, weight)
        self.running_var.lerp_(variance * (count / max(count - 1, 1)), weight)


def _combined(mean: Tensor, variance: Tensor, ranks: int) -> tuple[Tensor, Tensor]:
    """Mean and variance of the global batch from those of each rank (Chan et al. 1979), both `(channels,)`."""
    rank = torch.distributed.get_rank()
    own = torch.stack((mean, variance))
    everyone = sum_over_ranks(nn.functional.pad(own[None], (0, 0, 0, 0, rank, ranks - rank - 1)))
    means, variances = everyone.unbind(1)
    mean = means.mean(0)
    return mean, (variances + (means - mean).square()).mean(0)


def replace_sync_batch_norm(network: nn.Module, device: torch.device, differentiates_twice: bool) -> None:
    """Replace torch's `SyncBatchNorm` by `RankBatchNorm` where it would raise; names and weights stay.

    Args:
        network: bare, not yet wrapped.
        device: where it will run.
        differentiates_twice: whether its player has a penalty on gradients.
    """
    if torch.distributed.is_initialized() and (device.type != "cuda" or differentiates_twice):
        _replace(network, RankBatchNorm)


def localise_sync_batch_norm(network: nn.Module) -> None:
    """Replace every `SyncBatchNorm` by a batch norm that looks at its own rank only."""
    _replace(network, LocalBatchNorm)


class LocalBatchNorm(_BatchNorm):
    """Batch norm over vectors and pictures alike, of one process."""

    def _check_input_dim(self, input: Tensor) -> None:
        pass


def _replace(network: nn.Module, kind: type[_BatchNorm]) -> None:
    for parent in network.modules():
        for name, child in parent.named_children():
            if type(child) is nn.SyncBatchNorm:
                setattr(parent, name, _taken_over(child, kind))


def _taken_over(layer: nn.SyncBatchNorm, kind: type[_BatchNorm]) -> _BatchNorm:
    """The same parameters and buffers in another class."""
    made = kind(layer.num_features, layer.eps, layer.momentum, layer.affine, layer.track_running_stats).train(
        layer.training
    )
    made.weight, made.bias = layer.weight, layer.bias
    made.running_mean, made.running_var = layer.running_mean, layer.running_var
    made.num_batches_tracked = layer.num_batches_tracked
    return made
