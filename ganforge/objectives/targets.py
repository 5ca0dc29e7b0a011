"""Targets of the cross-entropy and least-squares losses, flipped now and then."""

from typing import Annotated

import torch
from pydantic import Field
from torch import Tensor

FlipProbability = Annotated[float, Field(ge=0.0, lt=0.5)]
"""Upper bound of `flip`: at a half, labels carry no information, and above it they teach the opposite."""


def targets_like(logits: Tensor, target: float, other: float, flip: float) -> Tensor:
    """The target of each sample, `(batch,)`: `target`, or with probability `flip` the `other` one.

    Without flipping no random number is drawn, so that the option's default changes nothing.
    """
    targets = torch.full_like(logits, target)
    if flip == 0.0:
        return targets
    return torch.where(torch.rand_like(logits) < flip, other, targets)
