"""Metrics of a generator in training: every rank makes and looks at its share of the samples."""

import time
from collections.abc import Callable, Sequence
from typing import cast

import numpy as np
import torch
from accelerate import Accelerator
from torch import Tensor

from ganforge.data.dataset import Dataset
from ganforge.metrics.metric import Extractor, Metric
from ganforge.metrics.samples import real_samples

BATCH = 256

Sampler = Callable[[range], Tensor]
"""Generated samples by index, on the device: the same index gives the same sample on any rank."""


def share_of(total: int, rank: int, world_size: int) -> range:
    """A rank's contiguous share of `total` items; sizes differ by at most one."""
    return range(total * rank // world_size, total * (rank + 1) // world_size)


class Evaluator:
    """Computes a recipe's metrics; reals are looked at once and kept.

    Args:
        metrics: what to compute.
        extractor: features for those metrics that look at features.
        dataset: the real samples.
        accelerator: for the device and the other ranks.
        num_fakes: generated samples an evaluation makes over all ranks.
        num_reals: real samples to compare with, the first ones; 0 for all.
    """

    def __init__(
        self,
        metrics: Sequence[Metric],
        extractor: Extractor | None,
        dataset: Dataset,
        accelerator: Accelerator,
        *,
        num_fakes: int,
        num_reals: int,
    ) -> None:
        self._metrics = metrics
        self._extractor = extractor
        self._dataset = dataset
        self._accelerator = accelerator
        self._num_fakes = num_fakes
        self._num_reals = min(num_reals, len(dataset)) if num_reals else len(dataset)
        self._reals: dict[str, Tensor] = {}

    def __call__(self, sampler: Sampler) -> dict[str, float]:
        """Figures by name, the same on every rank, and the seconds that they took."""
        start = time.perf_counter()
        shown: dict[str, tuple[Tensor, Tensor]] = {}
        figures: dict[str, float] = {}
        for metric in self._metrics:
            if metric.looks_at not in shown:
                shown[metric.looks_at] = (self._fakes(metric.looks_at, sampler), self._real(metric.looks_at))
            figures.update(metric(*shown[metric.looks_at]))
        return {**figures, "seconds": time.perf_counter() - start}

    def better(self) -> dict[str, str]:
        """Every figure's name and whether lower or higher is better, the main one first."""
        return {name: way for metric in self._metrics for name, way in metric.better.items()}

    def _fakes(self, looks_at: str, sampler: Sampler) -> Tensor:
        return self._gather(self._num_fakes, looks_at, sampler)

    def _real(self, looks_at: str) -> Tensor:
        if looks_at not in self._reals:
            device = self._accelerator.device
            self._reals[looks_at] = self._gather(
                self._num_reals,
                looks_at,
                lambda ids: real_samples(self._dataset, np.arange(ids.start, ids.stop)).to(device),
            )
        return self._reals[looks_at]

    @torch.no_grad()
    def _gather(self, total: int, looks_at: str, sampler: Sampler) -> Tensor:
        """Each rank its share, then all of it everywhere, on the CPU, in the order of the indices."""
        world_size = self._accelerator.num_processes
        share = share_of(total, self._accelerator.process_index, world_size)
        rows = torch.cat([self._look(sampler(share[at : at + BATCH]), looks_at) for at in range(0, len(share), BATCH)])
        if world_size == 1:
            return rows.cpu()
        sizes = [len(share_of(total, rank, world_size)) for rank in range(world_size)]
        padded = rows.new_zeros((max(sizes), *rows.shape[1:]))
        padded[: len(rows)] = rows
        gathered = cast(Tensor, self._accelerator.gather(padded)).view(world_size, max(sizes), *rows.shape[1:])
        return torch.cat([part[:size] for part, size in zip(gathered, sizes, strict=True)]).cpu()

    def _look(self, samples: Tensor, looks_at: str) -> Tensor:
        if looks_at == "samples":
            return samples.float()
        assert self._extractor is not None, "resolving a recipe makes sure that there is an extractor"
        return self._extractor(samples.float()).float()
