"""Modes of a Gaussian mixture that a generator covers."""

from typing import ClassVar

import numpy as np
import torch
from torch import Tensor

from ganforge.data.dataset import Dataset
from ganforge.data.synthetic import GaussianMixture
from ganforge.metrics.metric import Metric
from ganforge.registry import register


@register.metric("modes")
class Modes(Metric):
    """How many modes of a Gaussian mixture are covered, and how many points are good (Srivastava et al., VEEGAN, 2017).

    A point is good within three standard deviations of its nearest mode; a mode is covered when its good points are at
    least a tenth of its fair share. Needs a dataset that knows its modes: `ring` or `grid`.

    Args:
        dataset: dataset that the generator learns.
    """

    looks_at = "samples"
    needs_reals = False
    better: ClassVar = {"modes": "higher", "good_points": "higher"}

    def __init__(self, dataset: Dataset) -> None:
        if not isinstance(dataset, GaussianMixture):
            raise ValueError("needs a dataset that knows its modes, 'ring' or 'grid'")
        self.centers = torch.from_numpy(np.asarray(dataset.centers)).double()
        self.sigma = dataset.sigma

    def __call__(self, fakes: Tensor, reals: Tensor) -> dict[str, float]:
        distance, mode = torch.cdist(fakes.cpu().double(), self.centers).min(dim=1)
        good = distance < 3 * self.sigma
        shares = torch.bincount(mode[good], minlength=len(self.centers)) / len(fakes)
        covered = shares >= 0.1 / len(self.centers)
        return {"modes": float(covered.sum()), "good_points": float(good.double().mean())}
