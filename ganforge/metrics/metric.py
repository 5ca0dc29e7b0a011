"""What a metric and a feature extractor are."""

from abc import ABC, abstractmethod
from typing import ClassVar, Literal

from torch import Tensor


class Extractor(ABC):
    """Turns samples into features. `name_of_weights` identifies what it computes, for caches and protocols."""

    name_of_weights: str

    @abstractmethod
    def __call__(self, samples: Tensor) -> Tensor:
        """Samples `(batch, *spec.shape)`, pictures in [-1, 1], to features `(batch, dimensions)` float32."""


class Metric(ABC):
    """A figure, or several, about generated samples.

    `looks_at` says whether it is given samples or an extractor's features; `better` names its figures, the first
    being the main one, and which way is better.
    """

    looks_at: ClassVar[Literal["samples", "features"]] = "features"
    better: ClassVar[dict[str, Literal["lower", "higher"]]]

    @abstractmethod
    def __call__(self, fakes: Tensor, reals: Tensor) -> dict[str, float]:
        """Figures from `(num_fakes, ...)` and `(num_reals, ...)`, both on the CPU, both samples or both features."""
