"""Metrics that torch-fidelity computes from features: its functions, its definitions."""

from typing import Annotated, ClassVar

from pydantic import Field
from torch import Tensor

from ganforge.metrics.metric import Metric
from ganforge.registry import register

Positive = Annotated[int, Field(ge=1, le=100_000)]
Degree = Annotated[int, Field(ge=1, le=16)]
Seed = Annotated[int, Field(ge=0, lt=2**32)]


@register.metric("kid")
class KernelDistance(Metric):
    """Kernel distance between features: an unbiased squared MMD with a cubic kernel (Bińkowski et al. 2018).

    Mean and spread over random subsets, as torch-fidelity's `kid_features_to_metric` computes them. Unlike `fid` it
    has no bias from the number of samples, and it may be slightly below 0 for equal distributions.

    Args:
        subsets: how many random subsets.
        subset_size: samples in each, from fakes and from reals; neither may have fewer.
        degree: of the polynomial kernel.
        seed: chooses the subsets; torch-fidelity's own by default.
    """

    better: ClassVar = {"kid": "lower"}

    def __init__(
        self, *, subsets: Positive = 100, subset_size: Positive = 1000, degree: Degree = 3, seed: Seed = 2020
    ) -> None:
        if subset_size < 2:
            raise ValueError("subset_size must be 2 or more: the estimate divides by subset_size - 1")
        self.subsets = subsets
        self.subset_size = subset_size
        self.degree = degree
        self.seed = seed

    def check(self, num_fakes: int, num_reals: int) -> None:
        least = min(num_fakes, num_reals)
        if least < self.subset_size:
            raise ValueError(
                f"subsets of {self.subset_size} cannot be drawn from {num_fakes} fakes and {num_reals} reals; "
                f"set subset_size to {least} or less"
            )

    def __call__(self, fakes: Tensor, reals: Tensor) -> dict[str, float]:
        from torch_fidelity.metric_kid import KEY_METRIC_KID_MEAN, KEY_METRIC_KID_STD, kid_features_to_metric

        found = kid_features_to_metric(
            fakes,
            reals,
            kid_subsets=self.subsets,
            kid_subset_size=self.subset_size,
            kid_kernel_poly_degree=self.degree,
            rng_seed=self.seed,
            verbose=False,
        )
        return {"kid": found[KEY_METRIC_KID_MEAN], "kid_std": found[KEY_METRIC_KID_STD]}


@register.metric("is")
class InceptionScore(Metric):
    """Inception score: confident and varied class predictions (Salimans et al. 2016).

    Looks at an extractor's class logits and at no real sample. The score of the papers only with Inception's logits.

    Args:
        splits: parts in which it is computed; the figure is their mean, `is_std` their spread.
        seed: shuffles the samples before they are split; torch-fidelity's own by default.
    """

    looks_at = "logits"
    needs_reals = False
    better: ClassVar = {"is": "higher"}

    def __init__(self, *, splits: Positive = 10, seed: Seed = 2020) -> None:
        self.splits = splits
        self.seed = seed

    def check(self, num_fakes: int, num_reals: int) -> None:
        if num_fakes < self.splits:
            raise ValueError(f"{num_fakes} fakes cannot be split into {self.splits} parts; set splits to less")

    def __call__(self, fakes: Tensor, reals: Tensor) -> dict[str, float]:
        from torch_fidelity.metric_isc import KEY_METRIC_ISC_MEAN, KEY_METRIC_ISC_STD, isc_features_to_metric

        found = isc_features_to_metric(fakes, splits=self.splits, shuffle=True, rng_seed=self.seed)
        return {"is": found[KEY_METRIC_ISC_MEAN], "is_std": found[KEY_METRIC_ISC_STD]}


@register.metric("precision_recall")
class PrecisionRecall(Metric):
    """Precision and recall of the generated distribution (Kynkäänniemi et al. 2019).

    Precision is the share of fakes that lie within the reals' manifold, recall the share of reals within the fakes';
    a manifold is the union of balls that reach to each sample's k-th neighbour. Computed by torch-fidelity.

    Args:
        neighbours: a manifold reaches to each sample's neighbour of this number; 3 in the paper.
    """

    better: ClassVar = {"precision": "higher", "recall": "higher", "f_score": "higher"}

    def __init__(self, *, neighbours: Positive = 3) -> None:
        self.neighbours = neighbours

    def check(self, num_fakes: int, num_reals: int) -> None:
        if min(num_fakes, num_reals) <= self.neighbours:
            raise ValueError(f"{num_fakes} fakes and {num_reals} reals do not all have {self.neighbours} neighbours")

    def __call__(self, fakes: Tensor, reals: Tensor) -> dict[str, float]:
        from torch_fidelity.metric_prc import (
            KEY_METRIC_F_SCORE,
            KEY_METRIC_PRECISION,
            KEY_METRIC_RECALL,
            prc_features_to_metric,
        )

        found = prc_features_to_metric(
            fakes,
            reals,
            prc_neighborhood=self.neighbours,
            prc_batch_size=2000,  # rows of distances at a time: 400 MB at 50,000 samples
            save_cpu_ram=True,
            verbose=False,
        )
        names = {"precision": KEY_METRIC_PRECISION, "recall": KEY_METRIC_RECALL, "f_score": KEY_METRIC_F_SCORE}
        return {name: found[key] for name, key in names.items()}
