"""Does a generator copy? The training samples that are nearest to its samples, and how near that is."""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from ganforge.data.dataset import Dataset
from ganforge.data.samples import real_samples
from ganforge.errors import GanforgeError

BLOCK = 1024


@dataclass(frozen=True)
class Neighbours:
    """The nearest reals of each sample; Euclidean distances over all values of a sample.

    Args:
        nearest: numbers of the nearest reals, int64 `(num, k)`, nearest first.
        distance: to them, float32 `(num, k)`.
        spacing: distance of each sample's nearest real to the real that is nearest to that one, float32 `(num,)`.
    """

    nearest: Tensor
    distance: Tensor
    spacing: Tensor

    @property
    def ratio(self) -> Tensor:
        """Distance to the nearest real over that real's own spacing, `(num,)`: far below 1 is a copy."""
        return self.distance[:, 0] / self.spacing.clamp(min=1e-6)

    @property
    def authenticity(self) -> float:
        """Share of samples that are farther from their nearest real than that one is from the other reals.

        Alaa et al., How Faithful is your Synthetic Data?, 2022. Copies have 0; compare with the figure of reals
        that were left out of the data. Bad samples come near 1, so it judges copying and nothing else.
        """
        return float((self.ratio > 1).double().mean())


class Reals:
    """Training samples to look for neighbours in, read a block at a time.

    Args:
        dataset: the samples.
        limit: look at only so many, evenly spread; 0 for all.
    """

    def __init__(self, dataset: Dataset, limit: int = 0) -> None:
        count = min(limit, len(dataset)) if limit else len(dataset)
        self.dataset = dataset
        self.ids = torch.from_numpy(np.unique(np.linspace(0, len(dataset) - 1, count).round().astype(np.int64)))

    def neighbours(self, samples: Tensor, k: int) -> Neighbours:
        """The `k` nearest reals of each of `samples`, `(num, *spec.shape)`, pictures in [-1, 1].

        Raises:
            GanforgeError: there are too few reals.
        """
        return self._judge(samples, torch.full((len(samples),), -1), k)

    def left_out(self, num: int, k: int = 1) -> Neighbours:
        """The same for `num` reals, each left out of the reals: what new samples of the data would get."""
        ids = self.ids[torch.linspace(0, len(self.ids) - 1, min(num, len(self.ids))).round().long()]
        return self._judge(real_samples(self.dataset, ids.numpy()), ids, k)

    def _judge(self, samples: Tensor, own: Tensor, k: int) -> Neighbours:
        """Nearest reals of samples; `own` gives the numbers of samples that are reals themselves, else -1."""
        if len(self.ids) < k + 2:
            raise GanforgeError(f"{len(self.ids)} training samples are too few to look for {k} neighbours among them")
        nearest = _first_without(self._nearest(samples, k + 1), own[:, None], k)
        chosen, back = torch.unique(nearest[:, 0], return_inverse=True)
        around = self._nearest(real_samples(self.dataset, chosen.numpy()), 3)[back]
        second = _first_without(around, torch.stack([own, nearest[:, 0]], dim=1), 1)
        spacing = self._distance(real_samples(self.dataset, chosen.numpy()), second, back)[:, 0]
        return Neighbours(nearest, self._distance(samples, nearest), spacing)

    def _nearest(self, samples: Tensor, k: int) -> Tensor:
        """Numbers of the `k` nearest reals of each sample, `(num, k)`, in one pass over the data."""
        points = samples.flatten(1).float()
        distance = torch.zeros((len(points), 0))
        nearest = torch.zeros((len(points), 0), dtype=torch.int64)
        for block in self.ids.split(BLOCK):
            reals = real_samples(self.dataset, block.numpy()).flatten(1)
            distance = torch.cat([distance, torch.cdist(points, reals)], dim=1)
            nearest = torch.cat([nearest, block.expand(len(points), -1)], dim=1)
            distance, order = distance.topk(min(k, distance.shape[1]), largest=False)
            nearest = nearest.gather(1, order)
        return nearest

    def _distance(self, samples: Tensor, nearest: Tensor, rows: Tensor | None = None) -> Tensor:
        """Exact distances of samples to reals, `(num, k)`: the search's own lose precision where they are small.

        Args:
            samples: `(num, *spec.shape)`.
            nearest: numbers of reals, `(num, k)`.
            rows: which sample each row of `nearest` belongs to, if not its own.
        """
        points = samples.flatten(1).float()
        columns = []
        for column in nearest.unbind(1):
            parts = []
            for at in range(0, len(column), BLOCK):
                part = slice(at, at + BLOCK)
                reals = real_samples(self.dataset, column[part].numpy()).flatten(1)
                parts.append((points[part if rows is None else rows[part]] - reals).norm(dim=1))
            columns.append(torch.cat(parts))
        return torch.stack(columns, dim=1)


def _first_without(numbers: Tensor, unwanted: Tensor, k: int) -> Tensor:
    """The first `k` in each row of `numbers` that are not in that row of `unwanted`."""
    is_unwanted = (numbers[:, :, None] == unwanted[:, None, :]).any(dim=2)
    order = torch.sort(is_unwanted.long(), dim=1, stable=True).indices
    return numbers.gather(1, order)[:, :k]
