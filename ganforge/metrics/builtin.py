"""The metrics that come with ganforge."""

from typing import ClassVar

import numpy as np
import torch
from torch import Tensor

from ganforge.data.dataset import Dataset
from ganforge.data.synthetic import GaussianMixture
from ganforge.metrics.metric import Metric
from ganforge.registry import register


@register.metric("fid")
class FrechetDistance(Metric):
    """Fréchet distance between Gaussians fitted to features (Heusel et al. 2017), by torch-fidelity's mathematics.

    Named FID only with Inception's features; with another extractor it is the same formula in that extractor's space,
    and figures of different extractors do not compare.
    """

    better: ClassVar = {"fid": "lower"}

    def __call__(self, fakes: Tensor, reals: Tensor) -> dict[str, float]:
        from torch_fidelity.metric_fid import fid_features_to_statistics, fid_statistics_to_metric

        statistics = [fid_features_to_statistics(features) for features in (fakes, reals)]
        value = fid_statistics_to_metric(*statistics, verbose=False)
        return {"fid": float(next(iter(value.values())))}


@register.metric("modes")
class Modes(Metric):
    """How many modes of a Gaussian mixture are covered, and how many points are good (Srivastava et al., VEEGAN, 2017).

    A point is good within three standard deviations of its nearest mode; a mode is covered when its good points are at
    least a tenth of its fair share. Needs a dataset that knows its modes: `ring` or `grid`.

    Args:
        dataset: what the generator learns.
    """

    looks_at = "samples"
    better: ClassVar = {"modes": "higher", "good_points": "higher"}

    def __init__(self, dataset: Dataset) -> None:
        if not isinstance(dataset, GaussianMixture):
            raise ValueError("the metric 'modes' needs a dataset that knows its modes, 'ring' or 'grid'")
        self.centers = torch.from_numpy(np.asarray(dataset.centers)).double()
        self.sigma = dataset.sigma

    def __call__(self, fakes: Tensor, reals: Tensor) -> dict[str, float]:
        distance, mode = torch.cdist(fakes.double(), self.centers).min(dim=1)
        good = distance < 3 * self.sigma
        shares = torch.bincount(mode[good], minlength=len(self.centers)) / len(fakes)
        covered = shares >= 0.1 / len(self.centers)
        return {"modes": float(covered.sum()), "good_points": float(good.double().mean())}
