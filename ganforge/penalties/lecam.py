"""LeCam: D's logits are held near where the other kind's have been of late."""

from typing import Annotated, Any

import torch
from pydantic import Field
from torch import Tensor

from ganforge.game.penalty import Penalty, Strength
from ganforge.game.precision import at_least_float32
from ganforge.game.turn import Turn
from ganforge.ranks import mean_over_ranks
from ganforge.registry import register


@register.penalty("lecam")
class LeCam(Penalty):
    """Distance of logits from the other kind's moving average, for few pictures (Tseng et al. 2021).

    `strength * (E[(D(x) - a_fake)^2] + E[(D(G(z)) - a_real)^2])`, where the anchors `a_real` and `a_fake` are moving
    averages of the mean logits of real and fake pictures, which begin at the first batch's means. Anchors move
    whenever the penalty is computed, so with micro-batches once for each. They follow the global batch: ranks exchange
    two numbers a time and so always agree, and a checkpoint holds them once for all.

    Args:
        strength: lambda; 0.3 in the paper's experiments on CIFAR.
        decay: what an anchor keeps of itself at each move; 0.99 in the paper.
    """

    def __init__(self, *, strength: Strength = 0.3, decay: Annotated[float, Field(ge=0, lt=1)] = 0.99) -> None:
        self.strength = strength
        self.decay = decay
        self._anchors: Tensor | None = None

    def __call__(self, turn: Turn) -> Tensor:
        real, fake = at_least_float32(turn.real_logits), at_least_float32(turn.fake_logits)
        anchor_real, anchor_fake = self._moved(torch.stack((real.detach().mean(), fake.detach().mean()))).unbind()
        return self.strength * ((real - anchor_fake).square().mean() + (fake - anchor_real).square().mean())

    def _moved(self, means: Tensor) -> Tensor:
        """The anchors of reals and fakes, `(2,)`, after one more batch."""
        means = mean_over_ranks(means)
        before = means if self._anchors is None else self._anchors.to(means)
        self._anchors = before.lerp(means, 1.0 - self.decay)
        return self._anchors

    def state_dict(self) -> dict[str, Any]:
        return {"anchors": self._anchors}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self._anchors = state["anchors"]
