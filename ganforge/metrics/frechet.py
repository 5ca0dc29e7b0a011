"""The Fréchet distance between two sets of features."""

from typing import ClassVar

import torch
from torch import Tensor

from ganforge.metrics.metric import Looked, MomentsMetric
from ganforge.metrics.moments import Moments
from ganforge.registry import register

FEW = 2048
"""Samples below which the figure is mostly chance with Inception's features, which have as many dimensions."""


@register.metric("fid")
class FrechetDistance(MomentsMetric):
    """Fréchet distance between Gaussians fitted to features (Heusel et al. 2017).

    The formula of torch-fidelity, computed in float64 from sums that all ranks add up. It is the FID of the papers
    only with Inception's features, and FD-DINOv2 with DINOv2's; with another extractor it is the same formula in that
    extractor's space. Figures of different extractors, or of different numbers of samples, do not compare. Few samples
    make it larger by chance: the authors ask for more samples than dimensions, 2,048 of Inception's, and
    preferably 10,000; with fewer there is a warning.
    """

    better: ClassVar = {"fid": "lower"}

    def __init__(self) -> None:
        self._root: tuple[Moments, Tensor] | None = None

    def warnings(self, fakes: Looked, reals: Looked) -> list[str]:
        found = []
        for what, looked in (("fakes", fakes), ("reals", reals)):
            least = max(FEW, looked.dimensions)
            if looked.count < least and looked.count != looked.available:
                text = f"below {least:,} fid is too large by chance; look at more (evaluation.num_{what})"
                found.append(f"{looked.count:,} {what}: {text}")
            elif looked.count < looked.dimensions:
                text = f"fewer than dimensions ({looked.dimensions:,}), so fid is large by chance; kid is not"
                found.append(f"{looked.count:,} {what}: {text}")
        return found

    def of_moments(self, fakes: Moments, reals: Moments) -> dict[str, float]:
        if not (fakes.is_finite and reals.is_finite):
            return {"fid": float("nan")}
        root = self._root_of(reals)
        covariance = fakes.covariance
        # The product's eigenvalues are those of this symmetric matrix, whose solver takes half the time of the other.
        product = root @ covariance @ root
        cross = torch.linalg.eigvalsh((product + product.T) / 2).clamp(min=0).sqrt().sum()
        shift = (fakes.mean - reals.mean).square().sum()
        return {"fid": float(shift + covariance.trace() + reals.covariance.trace() - 2 * cross)}

    def _root_of(self, reals: Moments) -> Tensor:
        """Square root of the reals' covariance: the same in every evaluation of a run."""
        if self._root is None or self._root[0] is not reals:
            values, vectors = torch.linalg.eigh(reals.covariance)
            self._root = (reals, (vectors * values.clamp(min=0).sqrt()) @ vectors.T)
        return self._root[1]
