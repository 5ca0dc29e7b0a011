"""LeCam: keeps D's logits close to a moving average of the logits of the other kind."""

from typing import Annotated, Any

import torch
from pydantic import Field
from torch import Tensor
from torch.nn import functional

from ganforge.game.penalty import Penalty, Strength
from ganforge.game.precision import at_least_float32
from ganforge.game.turn import Turn
from ganforge.ranks import mean_over_ranks
from ganforge.registry import register


@register.penalty("lecam")
class LeCam(Penalty):
    """Distance of logits from the other kind's moving average, for few pictures (Tseng et al. 2021).

    `strength * (E[max(0, D(x) - a_fake)^2] + E[max(0, a_real - D(G(z)))^2])`, where the anchors `a_real` and `a_fake`
    are moving averages of the mean logits of real and fake pictures, which begin at the first batch's means. The
    authors' code takes the two maxima, so that only logits on the side where D is right count; the paper's formula does
    not (`one_sided = false`). Anchors move whenever the penalty is computed, so with micro-batches once for each. They
    follow the global batch: ranks exchange two numbers each time, so they always agree, and a checkpoint stores one
    copy for all ranks.

    Args:
        strength: lambda; 0.3 in the authors' BigGAN on CIFAR.
        decay: what an anchor keeps of itself at each move; 0.99 in the paper and the authors' StyleGAN2 (which also
            corrects the first moves for their start at 0), 0.9 in their BigGAN.
        one_sided: whether only logits on their own side of the other kind's anchor are held, as in the authors' code.
        start: first step in which it counts; 1,000 in the authors' BigGAN, 0 in their StyleGAN2 and for short runs.
    """

    def __init__(
        self,
        *,
        strength: Strength = 0.3,
        decay: Annotated[float, Field(ge=0, lt=1)] = 0.99,
        one_sided: bool = True,
        start: Annotated[int, Field(ge=0, le=10**15)] = 1000,
    ) -> None:
        self.strength = strength
        self.decay = decay
        self.one_sided = one_sided
        self.start = start
        self._anchors: Tensor | None = None

    def __call__(self, turn: Turn) -> Tensor:
        if turn.step < self.start:
            return at_least_float32(turn.real_logits).new_zeros(())
        real, fake = at_least_float32(turn.real_logits), at_least_float32(turn.fake_logits)
        anchor_real, anchor_fake = self._moved(torch.stack((real.detach().mean(), fake.detach().mean()))).unbind()
        above, below = real - anchor_fake, anchor_real - fake
        if self.one_sided:
            above, below = functional.relu(above), functional.relu(below)
        return self.strength * (above.square().mean() + below.square().mean())

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
