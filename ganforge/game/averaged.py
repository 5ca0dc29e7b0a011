"""The averaged generator: an exponential moving average of the weights (Yazıcı et al. 2019)."""

import copy
from collections.abc import Iterable

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm  # pyright: ignore[reportPrivateUsage]

from ganforge.game.rank_batch_norm import localise_sync_batch_norm


class AveragedGenerator:
    """Follows a generator; its half-life is given in images, so it does not depend on the batch size.

    Early in a run the half-life is at most `rampup` times the images so far, so that the average forgets the
    untrained network (Karras et al. 2020). Parameters and batch norm's running statistics are averaged alike, since
    the statistics of one moment's weights do not fit the average of many; other buffers are copied.

    Args:
        generator: the bare network, before anything wraps it.
        half_life: in images; 0 makes the average equal to the generator.
        rampup: share of the images so far; 0 for no ramp.
        start: images before which the average is the generator itself.
    """

    def __init__(
        self, generator: nn.Module, *, half_life: float = 10_000.0, rampup: float = 0.05, start: int = 0
    ) -> None:
        self.network = copy.deepcopy(generator).eval().requires_grad_(False)
        localise_sync_batch_norm(self.network)
        self.half_life = half_life
        self.rampup = rampup
        self.start = start

    def decay(self, images: int, batch: int) -> float:
        """Weight of the old average in an update of `batch` images after `images` of them."""
        if images <= self.start:
            return 0.0
        half_life = min(self.half_life, images * self.rampup) if self.rampup > 0 else self.half_life
        return 0.5 ** (batch / half_life) if half_life > 0 else 0.0

    @torch.no_grad()
    def update(self, generator: nn.Module, *, images: int, batch: int) -> None:
        """Move towards the generator: a few fused operations over all tensors, none of them on the host."""
        mine, copied = _state(self.network)
        theirs, originals = _state(generator)
        torch._foreach_lerp_(  # pyright: ignore[reportPrivateImportUsage, reportPrivateUsage]
            mine, theirs, 1.0 - self.decay(images, batch)
        )
        if copied:
            torch._foreach_copy_(copied, originals)  # pyright: ignore[reportPrivateImportUsage, reportPrivateUsage]

    @torch.no_grad()
    def reestimate(self, inputs: Iterable[tuple[Tensor, Tensor | None]]) -> None:
        """Re-estimate batch norm's statistics from batches of the average's own samples (Izmailov et al. 2018).

        The result is the same on every rank, since all see the same inputs. Dropout and the like stay as they are for
        sampling.

        Args:
            inputs: batches of latents and labels.
        """
        layers = [module for module in self.network.modules() if isinstance(module, _BatchNorm)]
        if not layers:
            return
        momenta = [layer.momentum for layer in layers]
        for layer in layers:
            layer.reset_running_stats()
            layer.momentum = None  # a plain mean over the batches
            layer.train()
        for latent, labels in inputs:
            self.network(latent, labels)
        for layer, momentum in zip(layers, momenta, strict=True):
            layer.momentum = momentum
            layer.eval()


def _state(network: nn.Module) -> tuple[list[Tensor], list[Tensor]]:
    """What is averaged and what is copied."""
    statistics: list[Tensor] = []
    others: list[Tensor] = []
    for module in network.modules():
        for name, buffer in module.named_buffers(recurse=False):
            (statistics if name in ("running_mean", "running_var") else others).append(buffer)
    return [parameter.detach() for parameter in network.parameters()] + statistics, others
