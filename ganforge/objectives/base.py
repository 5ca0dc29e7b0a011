"""What an objective is, and what its families share.

An objective is given the whole turn and not bare logits, so that losses that compare real with
fake fit as well. Logits, never probabilities: the logistic functions are computed in one stable
piece (`softplus`), which also holds under autocast.
"""

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Annotated

import torch
from pydantic import Field
from torch import Tensor

if TYPE_CHECKING:
    from ganforge.training.turn import Turn

FlipProbability = Annotated[float, Field(ge=0.0, lt=0.5)]
"""Half would be no information, and more would teach the opposite."""


class Objective(ABC):
    """The two losses of a game. Both return a scalar, the mean over the batch of the turn.

    `generator_sees_real` says whether the generator's loss looks at real pictures; if not, its turns take none
    from the loader. `has_boundary_at_zero` says whether a logit above 0 means that D takes a sample for real; where
    only differences of logits count, its accuracy has no meaning, and what goes by it is refused. `pairs_labels`
    says that the i-th fake picture is compared with the i-th real one and must be of its class.
    """

    generator_sees_real: bool = False
    has_boundary_at_zero: bool = True
    pairs_labels: bool = False

    @abstractmethod
    def discriminator_loss(self, turn: "Turn") -> Tensor:
        """What the discriminator minimises: a scalar from `turn.real_logits` and `turn.fake_logits`."""

    @abstractmethod
    def generator_loss(self, turn: "Turn") -> Tensor:
        """What the generator minimises: a scalar, usually from `turn.fake_logits`."""


def at_least_float32(logits: Tensor) -> Tensor:
    """Logits `(batch,)` in a precision in which a mean over the batch is exact enough; float64 stays."""
    return logits.float() if logits.dtype in (torch.float16, torch.bfloat16) else logits


def targets_like(logits: Tensor, target: float, other: float, flip: float) -> Tensor:
    """The target of each sample, `(batch,)`: `target`, or with probability `flip` the `other` one.

    Without flipping no random number is drawn, so that the option's default changes nothing.
    """
    targets = torch.full_like(logits, target)
    if flip == 0.0:
        return targets
    return torch.where(torch.rand_like(logits) < flip, other, targets)
