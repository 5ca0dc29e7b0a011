"""Terms beside the objective: each belongs to one player and joins that player's single loss.

A penalty with `interval = k` is computed in every k-th step and multiplied by k, so its expected
weight stays (lazy regularisation, Karras et al. 2020, section 3.1).
"""

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Annotated, Any, Literal

import torch
from pydantic import Field
from torch import Tensor

from ganforge.registry import register

if TYPE_CHECKING:
    from ganforge.training.turn import Turn


class Penalty(ABC):
    """A scalar that one player adds to its loss.

    `player` says whose loss it joins, `sees_real` whether it looks at real pictures, `needs_double_backward`
    whether it differentiates the player's network and is differentiated itself, which compiled networks cannot.
    """

    player: Literal["discriminator", "generator"] = "discriminator"
    sees_real: bool = True
    needs_double_backward: bool = False

    @abstractmethod
    def __call__(self, turn: "Turn") -> Tensor:
        """The penalty before its weight: a scalar, the mean over the batch of the turn."""

    def state_dict(self) -> dict[str, Any]:
        """What must survive a checkpoint, tensors and plain values; most penalties remember nothing."""
        return {}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take back what `state_dict` gave."""


@register.penalty("r1")
class R1(Penalty):
    """Gradient penalty on real pictures, `gamma / 2 * E[|grad D(x)|^2]` (Mescheder et al. 2018, equation 9).

    Args:
        gamma: strength; the paper uses 10, smaller values for small pictures.
    """

    needs_double_backward = True

    def __init__(self, *, gamma: Annotated[float, Field(gt=0)] = 10.0) -> None:
        self.gamma = gamma

    def __call__(self, turn: "Turn") -> Tensor:
        real = turn.real.detach().requires_grad_()
        logits = turn.discriminate(real, turn.real_labels)
        (gradient,) = torch.autograd.grad(logits.sum(), real, create_graph=True)
        return 0.5 * self.gamma * gradient.square().flatten(1).sum(dim=1).mean()
