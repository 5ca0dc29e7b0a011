"""What each player wants: losses on the discriminator's logits.

An objective is given the whole turn and not bare logits, so that losses that compare real with
fake fit as well. Logits, never probabilities: the logistic functions are computed in one stable
piece (`softplus`), which also holds under autocast.
"""

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Annotated

import torch
from pydantic import Field
from torch import Tensor
from torch.nn import functional

from ganforge.registry import register

if TYPE_CHECKING:
    from ganforge.training.turn import Turn

Probability = Annotated[float, Field(ge=0.0, le=1.0)]


class Objective(ABC):
    """The two losses of a game. Both return a scalar, the mean over the batch of the turn.

    `generator_sees_real` says whether the generator's loss looks at real pictures; if not, its turns take none
    from the loader.
    """

    generator_sees_real: bool = False

    @abstractmethod
    def discriminator_loss(self, turn: "Turn") -> Tensor:
        """What the discriminator minimises: a scalar from `turn.real_logits` and `turn.fake_logits`."""

    @abstractmethod
    def generator_loss(self, turn: "Turn") -> Tensor:
        """What the generator minimises: a scalar, usually from `turn.fake_logits`."""


def cross_entropy(logits: Tensor, label: float) -> Tensor:
    """Mean binary cross-entropy of logits `(batch,)` against one label in [0, 1], computed in float32 or wider."""
    logits = logits.float() if logits.dtype in (torch.float16, torch.bfloat16) else logits
    return functional.binary_cross_entropy_with_logits(logits, torch.full_like(logits, label))


class _CrossEntropy(Objective):
    """The discriminator's side, common to both of the original paper's games."""

    def __init__(self, *, real_label: float, fake_label: float) -> None:
        if real_label <= fake_label:
            raise ValueError(f"real_label ({real_label}) must be larger than fake_label ({fake_label})")
        self.real_label = real_label
        self.fake_label = fake_label

    def discriminator_loss(self, turn: "Turn") -> Tensor:
        return cross_entropy(turn.real_logits, self.real_label) + cross_entropy(turn.fake_logits, self.fake_label)


@register.objective("bce")
class NonSaturating(_CrossEntropy):
    """Binary cross-entropy, non-saturating for the generator (Goodfellow et al. 2014, section 3).

    D minimises `-E[log D(x)] - E[log(1 - D(G(z)))]` and G minimises `-E[log D(G(z))]`, with `D = sigmoid(logits)`.
    At its optimum against a perfect generator D's loss is log 4. One-sided label smoothing (Salimans et al. 2016,
    section 3.4) is `real_label = 0.9`.

    Args:
        real_label: target for real pictures in D's loss; 1 in the paper, 0.9 smooths.
        fake_label: target for fake pictures in D's loss; 0 in the paper and for one-sided smoothing.
    """

    def __init__(self, *, real_label: Probability = 1.0, fake_label: Probability = 0.0) -> None:
        super().__init__(real_label=real_label, fake_label=fake_label)

    def generator_loss(self, turn: "Turn") -> Tensor:
        return cross_entropy(turn.fake_logits, 1.0)


@register.objective("minimax")
class Minimax(_CrossEntropy):
    """The original minimax game, saturating for the generator (Goodfellow et al. 2014, equation 1).

    G minimises `E[log(1 - D(G(z)))]`, whose gradient vanishes where D is sure; kept for comparison.

    Args:
        real_label: target for real pictures in D's loss; 1 in the paper.
        fake_label: target for fake pictures in D's loss; 0 in the paper.
    """

    def __init__(self, *, real_label: Probability = 1.0, fake_label: Probability = 0.0) -> None:
        super().__init__(real_label=real_label, fake_label=fake_label)

    def generator_loss(self, turn: "Turn") -> Tensor:
        return -cross_entropy(turn.fake_logits, 0.0)
