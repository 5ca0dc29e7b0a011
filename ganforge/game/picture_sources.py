"""Sources that are pictures: computed from the targets, stored beside them, or of another dataset."""

from collections.abc import Mapping

import numpy as np
import torch
from torch import Tensor

from ganforge.data.dataset import Dataset
from ganforge.data.loader import Batch, Loader
from ganforge.data.samples import real_samples, source_samples
from ganforge.degradations import Degradations
from ganforge.game.source import Given, Source
from ganforge.spec import DataSpec

SHOWN = "/shown"
"""Stream of the numbers of degradations outside of training, where a picture's place is its number in the dataset."""


class Shown:
    """Which pictures of a dataset are looked at or judged, by index: evenly spaced, as real samples are.

    Args:
        dataset: of the targets, or of the sources that have none.
        counts: how many are taken in each stream, by its name; of other streams, the dataset from its beginning.
    """

    def __init__(self, dataset: Dataset, counts: Mapping[str, int]) -> None:
        self.dataset = dataset
        self.counts = counts

    def ids(self, stream: str, indices: range) -> np.ndarray:
        """Numbers in the dataset, int64 `(len(indices),)`; more samples than it has begin again."""
        wanted = min(self.counts.get(stream, 0), len(self.dataset))
        stride = len(self.dataset) / wanted if wanted else 1.0
        return np.floor(np.arange(indices.start, indices.stop) * stride).astype(np.int64) % len(self.dataset)


class Degraded(Source):
    """Sources that are computed from their targets on the device.

    Args:
        degradations: of the recipe, on the device.
        shown: targets outside of training.
        device: where sources are wanted.
    """

    needs_reals = True

    def __init__(self, degradations: Degradations, shown: Shown, device: torch.device) -> None:
        self.spec: DataSpec | None = degradations.spec
        self.degradations = degradations
        self._shown = shown
        self._device = device

    def of_turn(self, stream: str, number: int, indices: range, reals: Batch | None, start: int) -> Given:
        assert reals is not None
        return self.degradations(reals.samples, np.arange(start, start + len(reals.samples))), reals.labels

    def shown(self, stream: str, number: int, indices: range) -> Given:
        ids = self._shown.ids(stream, indices)
        targets = real_samples(self._shown.dataset, ids).to(self._device)
        return self.degradations(targets, ids, SHOWN), _labels(self._shown.dataset, ids, self._device)

    def targets(self, stream: str, indices: range) -> Tensor | None:
        ids = self._shown.ids(stream, indices)
        return real_samples(self._shown.dataset, ids).to(self._device)


class Halves(Source):
    """Sources that are stored beside their targets.

    Args:
        shown: pairs outside of training.
        device: where sources are wanted.
    """

    needs_reals = True

    def __init__(self, shown: Shown, device: torch.device) -> None:
        self.spec = shown.dataset.source
        self._shown = shown
        self._device = device

    def of_turn(self, stream: str, number: int, indices: range, reals: Batch | None, start: int) -> Given:
        assert reals is not None
        assert reals.source is not None
        return reals.source, reals.labels

    def shown(self, stream: str, number: int, indices: range) -> Given:
        ids = self._shown.ids(stream, indices)
        sources = source_samples(self._shown.dataset, ids).to(self._device)
        return sources, _labels(self._shown.dataset, ids, self._device)

    def targets(self, stream: str, indices: range) -> Tensor | None:
        return real_samples(self._shown.dataset, self._shown.ids(stream, indices)).to(self._device)


class Domain(Source):
    """Sources of another dataset, which belong to no target. Their order is one of its own.

    Args:
        spec: what a source looks like.
        loader: of the sources; with another seed than that of the targets, for under one seed two datasets of one size
            are read in the same order, and unpaired data comes as fixed pairs. None where nothing is trained.
        shown: sources outside of training.
        targets: pictures of the other dataset outside of training, which may be translated back.
        is_paired: whether the i-th of one is what the i-th of the other should become.
        device: where sources are wanted.
    """

    needs_reals = True

    def __init__(
        self,
        spec: DataSpec,
        loader: Loader | None,
        shown: Shown,
        targets: Shown,
        *,
        is_paired: bool,
        device: torch.device,
    ) -> None:
        self.spec: DataSpec | None = spec
        self.loader = loader
        self.digest = "" if loader is None else loader.dataset.digest
        self._shown = shown
        self._targets = targets
        self._is_paired = is_paired
        self._device = device

    def of_turn(self, stream: str, number: int, indices: range, reals: Batch | None, start: int) -> Given:
        assert self.loader is not None
        return self.loader.next().samples, None

    def shown(self, stream: str, number: int, indices: range) -> Given:
        return real_samples(self._shown.dataset, self._shown.ids(stream, indices)).to(self._device), None

    def targets(self, stream: str, indices: range) -> Tensor | None:
        return self.wanted(stream, indices) if self._is_paired else None

    def wanted(self, stream: str, indices: range) -> Tensor:
        """Pictures of the other dataset by index, which a game with two ways translates back."""
        return real_samples(self._targets.dataset, self._targets.ids(stream, indices)).to(self._device)

    def seek(self, position: int) -> None:
        if self.loader is not None:
            self.loader.seek(position)

    def close(self) -> None:
        if self.loader is not None:
            self.loader.close()


def _labels(dataset: Dataset, ids: np.ndarray, device: torch.device) -> Tensor | None:
    if dataset.labels is None:
        return None
    return torch.from_numpy(dataset.labels[ids]).to(device)  # pyright: ignore[reportUnknownMemberType]
