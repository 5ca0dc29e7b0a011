"""What a metric and a feature extractor are."""

import math
from abc import ABC, abstractmethod
from collections.abc import Collection
from dataclasses import dataclass
from typing import ClassVar, Literal

from torch import Tensor

from ganforge.metrics.moments import Moments

View = Literal["samples", "features", "logits"]
"""What a metric looks at: samples as they are, an extractor's features, or its class logits."""


@dataclass(frozen=True)
class Looked:
    """How much a metric looked at.

    Args:
        count: number of samples.
        dimensions: number of values per sample.
        available: samples that exist in all; None if any number can be generated.
    """

    count: int
    dimensions: int
    available: int | None = None


class Extractor(ABC):
    """Turns samples into features.

    Attributes:
        name_of_weights: identifies what it computes, for caches and protocols; must change whenever its features do.
        sha256: of the weights' file, in hex; empty if there is none.
        input: description of how samples are preprocessed for the network: rounding, resizing.
        has_logits: whether `extract` can also give class logits, which the Inception score looks at.
    """

    name_of_weights: str
    sha256: str = ""
    input: str = "samples as they are"
    has_logits: ClassVar[bool] = False

    @abstractmethod
    def __call__(self, samples: Tensor) -> Tensor:
        """Samples `(batch, *spec.shape)`, pictures in [-1, 1], to features `(batch, dimensions)` float32."""

    def extract(self, samples: Tensor, views: Collection[View]) -> dict[View, Tensor]:
        """All wanted views of the same samples in one forward; override it with `has_logits`.

        Args:
            samples: as for the call.
            views: of "features" and "logits".
        """
        assert set(views) == {"features"}
        return {"features": self(samples)}


class Metric(ABC):
    """A figure, or several, about generated samples. Computed on the main process, on all samples at once.

    Attributes:
        looks_at: what it is given.
        needs_reals: whether it compares with real samples; if not, it gets none of them.
        pairs: whether it compares the i-th fake with the i-th real sample, as translations have them.
        decides: whether its main figure may decide by itself which generator is the best.
        better: names its figures, the first being the main one, and which way is better.
    """

    looks_at: ClassVar[View] = "features"
    needs_reals: ClassVar[bool] = True
    pairs: ClassVar[bool] = False
    decides: ClassVar[bool] = True
    better: ClassVar[dict[str, Literal["lower", "higher"]]]

    def check(self, num_fakes: int, num_reals: int) -> None:
        """Refuse, before training starts, a number of samples that the metric cannot be computed from.

        Raises:
            ValueError: they are too few.
        """

    def warnings(self, fakes: Looked, reals: Looked) -> list[str]:
        """Warnings about what makes its figures unreliable, a line each with the remedy; shown once a run.

        Args:
            fakes: how many were looked at, and in how many dimensions.
            reals: the same for the real samples.
        """
        return []

    @abstractmethod
    def __call__(self, fakes: Tensor, reals: Tensor) -> dict[str, float]:
        """Figures from `(num_fakes, ...)` and `(num_reals, ...)`, float32, both on the run's device."""


class LabelledMetric(Metric):
    """A metric that looks at the classes of fakes and reals as well; without classes it has no figures."""

    def __call__(self, fakes: Tensor, reals: Tensor) -> dict[str, float]:
        return dict.fromkeys(self.better, math.nan)

    @abstractmethod
    def of_classes(self, fakes: Tensor, reals: Tensor, fake_labels: Tensor, real_labels: Tensor) -> dict[str, float]:
        """Figures from samples or features as for a call, and their labels `(num_fakes,)` and `(num_reals,)`."""


class MomentsMetric(Metric):
    """A metric that needs only mean and covariance: ranks exchange sums instead of all features."""

    def check(self, num_fakes: int, num_reals: int) -> None:
        if min(num_fakes, num_reals) < 2:
            raise ValueError(f"a covariance needs two samples; there are {num_fakes} fakes and {num_reals} reals")

    def __call__(self, fakes: Tensor, reals: Tensor) -> dict[str, float]:
        return self.of_moments(Moments.of(fakes), Moments.of(reals))

    @abstractmethod
    def of_moments(self, fakes: Moments, reals: Moments) -> dict[str, float]:
        """Figures from both sets' moments, float64 on the CPU."""
