"""Toy datasets whose true density is known: mixtures of Gaussians in the plane."""

import hashlib
from typing import Annotated

import numpy as np
from pydantic import Field

from ganforge.data.dataset import ArrayDataset
from ganforge.registry import register
from ganforge.spec import DataSpec

Samples = Annotated[int, Field(ge=1, le=10_000_000)]
Positive = Annotated[float, Field(gt=0)]


class GaussianMixture(ArrayDataset):
    """Points from equally likely round Gaussians, always the same ones, labelled by their mode.

    Args:
        name: for the digest.
        centers: float64 `(modes, 2)`.
        sigma: standard deviation of each mode.
        samples: how many points.
    """

    def __init__(self, name: str, centers: np.ndarray, sigma: float, samples: int) -> None:
        self.centers = centers
        self.sigma = sigma
        random = np.random.Generator(np.random.Philox(key=2014))
        labels = np.arange(samples) % len(centers)
        points = centers[labels] + sigma * random.standard_normal((samples, 2))
        rows = np.ascontiguousarray(points, dtype=np.float32)
        digest = hashlib.sha256(f"{name} {centers.tolist()}".encode() + rows.tobytes()).hexdigest()
        spec = DataSpec((2,), tuple(str(mode) for mode in range(len(centers))))
        super().__init__(rows, spec, digest, labels.astype(np.int64))


@register.dataset("ring")
class Ring(GaussianMixture):
    """Gaussians on a circle (Metz et al., Unrolled GANs, 2017): the toy on which modes are lost.

    Args:
        modes: number of Gaussians.
        radius: of the circle.
        sigma: standard deviation of each Gaussian.
        samples: number of points.
    """

    def __init__(
        self,
        *,
        modes: Annotated[int, Field(ge=1, le=10_000)] = 8,
        radius: Positive = 2.0,
        sigma: Positive = 0.1,
        samples: Samples = 100_000,
    ) -> None:
        angles = 2 * np.pi * np.arange(modes) / modes
        super().__init__("ring", radius * np.stack([np.cos(angles), np.sin(angles)], axis=1), sigma, samples)


@register.dataset("grid")
class Grid(GaussianMixture):
    """Gaussians on a square grid, 5x5 at -4, -2, 0, 2, 4 (Dumoulin et al., ALI, 2017).

    Args:
        side: Gaussians along each axis.
        spacing: distance between neighbours.
        sigma: standard deviation of each Gaussian.
        samples: number of points.
    """

    def __init__(
        self,
        *,
        side: Annotated[int, Field(ge=1, le=100)] = 5,
        spacing: Positive = 2.0,
        sigma: Positive = 0.05,
        samples: Samples = 100_000,
    ) -> None:
        axis = spacing * (np.arange(side) - (side - 1) / 2)
        centers = np.stack(np.meshgrid(axis, axis, indexing="ij"), axis=-1).reshape(-1, 2)
        super().__init__("grid", centers, sigma, samples)
