"""The averaged generator: an exponential moving average of the weights (Yazıcı et al. 2019)."""

import copy
from collections.abc import Iterable, Mapping

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
        self._mine = _State(self.network)
        self._theirs: _State | None = None

    def decay(self, images: int, batch: int) -> float:
        """Weight of the old average in an update of `batch` images after `images` of them."""
        if images <= self.start:
            return 0.0
        half_life = min(self.half_life, images * self.rampup) if self.rampup > 0 else self.half_life
        return 0.5 ** (batch / half_life) if half_life > 0 else 0.0

    @torch.no_grad()
    def update(self, generator: nn.Module, *, images: int, batch: int) -> None:
        """Move towards the generator: a few fused operations over all tensors, none of them on the host."""
        if self._theirs is None or self._theirs.network is not generator:
            self._theirs = _State(generator)
        torch._foreach_lerp_(  # pyright: ignore[reportPrivateImportUsage, reportPrivateUsage]
            self._mine.averaged, self._theirs.averaged, 1.0 - self.decay(images, batch)
        )
        if copied := self._mine.copied:
            torch._foreach_copy_(copied, self._theirs.copied)  # pyright: ignore[reportPrivateImportUsage, reportPrivateUsage]

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


class _State:
    """What of a network is averaged and what is copied, found once: to walk its modules takes longer than to average.

    Buffers are kept by their places, since a module may put another tensor there; a parameter stays the same one.

    Args:
        network: bare; it gets no other modules later.
    """

    def __init__(self, network: nn.Module) -> None:
        self.network = network
        self._parameters: list[Tensor] = list(network.parameters())
        self._statistics: list[_Place] = []
        self._others: list[_Place] = []
        for module in network.modules():
            for name, _ in module.named_buffers(recurse=False):
                is_statistic = name in ("running_mean", "running_var")
                places = self._statistics if is_statistic else self._others
                places.append((module._buffers, name))  # pyright: ignore[reportPrivateUsage]

    @property
    def averaged(self) -> list[Tensor]:
        """Parameters and running statistics."""
        return self._parameters + _tensors(self._statistics)

    @property
    def copied(self) -> list[Tensor]:
        """The other buffers."""
        return _tensors(self._others)


_Place = tuple[Mapping[str, Tensor | None], str]


def _tensors(places: Iterable[_Place]) -> list[Tensor]:
    return [tensor for buffers, name in places if (tensor := buffers[name]) is not None]
