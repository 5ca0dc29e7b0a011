"""Density and coverage, which torch-fidelity does not have."""

from typing import Annotated, ClassVar

import torch
from pydantic import Field
from torch import Tensor

from ganforge.metrics.metric import Metric
from ganforge.metrics.moments import to_float64
from ganforge.registry import register

ROWS = 1024
"""Rows of distances in memory at a time."""


@register.metric("density_coverage")
class DensityCoverage(Metric):
    """Density and coverage of the generated distribution (Naeem et al. 2020).

    Each real sample has a ball that reaches to its k-th real neighbour. Density is how many balls a fake lies in, on
    average and divided by k: about 1 for equal distributions, and it may be more. Coverage is the share of balls that
    hold a fake. Unlike precision and recall, a few outliers do not spoil them.

    Args:
        neighbours: k; the paper's 5 by default.
    """

    better: ClassVar = {"density": "higher", "coverage": "higher"}

    def __init__(self, *, neighbours: Annotated[int, Field(ge=1, le=1000)] = 5) -> None:
        self.neighbours = neighbours

    def check(self, num_fakes: int, num_reals: int) -> None:
        if num_reals <= self.neighbours:
            raise ValueError(f"{num_reals} reals do not have {self.neighbours} neighbours each")

    def __call__(self, fakes: Tensor, reals: Tensor) -> dict[str, float]:
        fakes, reals = to_float64(fakes), to_float64(reals)  # float32 distances of near points are mostly rounding
        hits, covered = 0, 0
        for part in reals.split(ROWS):
            # A sample is its own nearest neighbour, so its k-th is the (k + 1)-th smallest.
            radius = torch.cdist(part, reals).kthvalue(self.neighbours + 1, dim=1, keepdim=True).values
            inside = torch.cdist(part, fakes) < radius
            hits += int(inside.sum())
            covered += int(inside.any(dim=1).sum())
        return {"density": hits / (self.neighbours * len(fakes)), "coverage": covered / len(reals)}
