"""Top-k training: the generator learns from those of its samples alone that D takes for the most real."""

from typing import Annotated, Literal

import torch
from pydantic import Field
from torch import Tensor
from torch.nn import functional

from ganforge.game.objective import Objective
from ganforge.game.precision import at_least_float32
from ganforge.game.turn import Turn
from ganforge.objectives.auxiliary import GAMES
from ganforge.ranks import gathered_over_ranks, mean_over_ranks
from ganforge.registry import register


@register.objective("top_k")
class TopK(Objective):
    """G learns from the share of its samples that D finds the most real (Sinha, Zhao, Goyal, Raffel and Odena 2020).

    The gradient of a bad sample often points away from any mode. D's loss is that of the `game`. The samples are chosen
    from a micro-batch of all ranks together.

    The paper begins with whole batches and keeps 0.99 times as many in each epoch, down to a half on most data, which
    is a ramp over log(0.5) / log(0.99) = 69 epochs: `[[ramps]]` with `option = "objective.share"`, `start = 1.0`, `end
    = 0.5`, `shape = "exponential"` and `over` = 69 times the size of the dataset.

    Args:
        game: the loss of real against fake, `bce` or `hinge`.
        share: share of the samples that G learns from; at least one is.
    """

    def __init__(
        self, *, game: Literal["bce", "hinge"] = "bce", share: Annotated[float, Field(gt=0, le=1)] = 0.5
    ) -> None:
        self.game = game
        self.share = share
        self._game = GAMES[game]()

    def discriminator_loss(self, turn: Turn) -> Tensor:
        return self._game.discriminator_loss(turn)

    def generator_loss(self, turn: Turn) -> Tensor:
        logits = at_least_float32(turn.fake_logits)
        losses = functional.softplus(-logits) if self.game == "bce" else -logits
        chosen = _chosen(logits.detach(), self.share).to(losses.dtype)
        return (losses * chosen).mean() / mean_over_ranks(chosen.mean())


def _chosen(logits: Tensor, share: float) -> Tensor:
    """Which logits are among the largest over all ranks, bool of their shape, chosen on the device."""
    everywhere = gathered_over_ranks(logits.flatten())
    count = max(1, round(share * len(everywhere)))
    return logits >= torch.topk(everywhere, count).values[-1]
