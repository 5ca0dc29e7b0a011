"""The averaged generator: an exponential moving average of the weights (Yazıcı et al. 2019)."""

import copy

import torch
from torch import nn


class AveragedGenerator:
    """Follows a generator; its half-life is given in images, so it does not depend on the batch size.

    Early in a run the half-life is at most `rampup` times the images so far, so that the average forgets the
    untrained network (Karras et al. 2020). Parameters are averaged; buffers, such as batch norm's running
    statistics, are copied.

    Args:
        generator: the bare network, before anything wraps it.
        half_life: in images; 0 makes the average equal to the generator.
        rampup: share of the images so far; 0 for no ramp.
    """

    def __init__(self, generator: nn.Module, *, half_life: float, rampup: float) -> None:
        self.network = copy.deepcopy(generator).eval().requires_grad_(False)
        self.half_life = half_life
        self.rampup = rampup

    def decay(self, images: int, batch: int) -> float:
        """Weight of the old average in an update of `batch` images after `images` of them."""
        half_life = min(self.half_life, images * self.rampup) if self.rampup > 0 else self.half_life
        return 0.5 ** (batch / half_life) if half_life > 0 else 0.0

    @torch.no_grad()
    def update(self, generator: nn.Module, *, images: int, batch: int) -> None:
        """Move towards the generator: a few fused operations over all parameters, none of them on the host."""
        averaged = list(self.network.parameters())
        current = [parameter.detach() for parameter in generator.parameters()]
        torch._foreach_lerp_(averaged, current, 1.0 - self.decay(images, batch))
        self.copy_buffers(generator)

    @torch.no_grad()
    def copy_buffers(self, generator: nn.Module) -> None:
        for averaged, current in zip(self.network.buffers(), generator.buffers(), strict=True):
            averaged.copy_(current)
