"""Mean and covariance of features as sums, which add up over batches and over ranks."""

from dataclasses import dataclass

import torch
from torch import Tensor


def to_float64(tensor: Tensor) -> Tensor:
    """Convert to float64, on the tensor's device, or on the CPU if the device has no float64."""
    return (tensor.cpu() if tensor.device.type == "mps" else tensor).double()


@dataclass(frozen=True, eq=False)
class Moments:
    """Sums over features, float64.

    Args:
        count: number of samples, a scalar.
        total: `(dimensions,)`, the sum of the features.
        outer: `(dimensions, dimensions)`, the sum of their outer products.
    """

    count: Tensor
    total: Tensor
    outer: Tensor

    @classmethod
    def of(cls, features: Tensor) -> "Moments":
        """Moments of features `(batch, dimensions)`, on their device if it has float64."""
        wide = to_float64(features)
        return cls(torch.tensor(len(wide), dtype=torch.float64, device=wide.device), wide.sum(dim=0), wide.T @ wide)

    def __add__(self, other: "Moments") -> "Moments":
        return Moments(self.count + other.count, self.total + other.total, self.outer + other.outer)

    @property
    def mean(self) -> Tensor:
        """`(dimensions,)`."""
        return self.total / self.count

    @property
    def covariance(self) -> Tensor:
        """Covariance `(dimensions, dimensions)`, unbiased (divided by count - 1)."""
        return (self.outer - torch.outer(self.mean, self.total)) / (self.count - 1)

    @property
    def is_finite(self) -> bool:
        return bool(self.outer.isfinite().all() and self.total.isfinite().all())

    def packed(self) -> Tensor:
        """Count and both sums in one vector, so that one all-reduce adds up all of them."""
        return torch.cat([self.count.view(1), self.total, self.outer.flatten()])

    @classmethod
    def unpacked(cls, vector: Tensor) -> "Moments":
        dimensions = round((len(vector) - 0.75) ** 0.5 - 0.5)  # 1 + d + d * d
        return cls(vector[0], vector[1 : 1 + dimensions], vector[1 + dimensions :].view(dimensions, dimensions))
