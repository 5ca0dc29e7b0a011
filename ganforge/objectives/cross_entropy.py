"""The games of the first GAN paper: binary cross-entropy on logits."""

from typing import Annotated

import torch
from pydantic import Field
from torch import Tensor
from torch.nn import functional

from ganforge.game.objective import Objective
from ganforge.game.precision import at_least_float32
from ganforge.game.turn import Turn
from ganforge.objectives.targets import FlipProbability, targets_like
from ganforge.registry import register

Probability = Annotated[float, Field(ge=0.0, le=1.0)]


def cross_entropy(logits: Tensor, label: float) -> Tensor:
    """Mean binary cross-entropy of logits `(batch,)` against one label in [0, 1], computed in float32 or wider."""
    logits = at_least_float32(logits)
    return functional.binary_cross_entropy_with_logits(logits, torch.full_like(logits, label))


class _CrossEntropy(Objective):
    """The discriminator's side, common to both of the original paper's games."""

    def __init__(self, *, real_label: float, fake_label: float, flip: float) -> None:
        if real_label <= fake_label:
            raise ValueError(f"real_label ({real_label}) must be larger than fake_label ({fake_label})")
        self.real_label = real_label
        self.fake_label = fake_label
        self.flip = flip

    def discriminator_loss(self, turn: Turn) -> Tensor:
        return self._loss(turn.real_logits, self.real_label, self.fake_label) + self._loss(
            turn.fake_logits, self.fake_label, self.real_label
        )

    def _loss(self, logits: Tensor, label: float, other: float) -> Tensor:
        logits = at_least_float32(logits)
        return functional.binary_cross_entropy_with_logits(logits, targets_like(logits, label, other, self.flip))


@register.objective("bce")
class NonSaturating(_CrossEntropy):
    """Binary cross-entropy, non-saturating for the generator (Goodfellow et al. 2014, section 3).

    D minimises `-E[log D(x)] - E[log(1 - D(G(z)))]` and G minimises `-E[log D(G(z))]`, with `D = sigmoid(logits)`.
    At its optimum against a perfect generator D's loss is log 4. One-sided label smoothing (Salimans et al. 2016,
    section 3.4) is `real_label = 0.9`; noisy labels (Chintala et al. 2016, "How to train a GAN?") are `flip = 0.05`.

    Args:
        real_label: target for real pictures in D's loss; 1 in the paper, 0.9 smooths.
        fake_label: target for fake pictures in D's loss; 0 in the paper and for one-sided smoothing.
        flip: probability that D is given the other label for a sample; 0 in the paper.
    """

    def __init__(
        self, *, real_label: Probability = 1.0, fake_label: Probability = 0.0, flip: FlipProbability = 0.0
    ) -> None:
        super().__init__(real_label=real_label, fake_label=fake_label, flip=flip)

    def generator_loss(self, turn: Turn) -> Tensor:
        return cross_entropy(turn.fake_logits, 1.0)


@register.objective("minimax")
class Minimax(_CrossEntropy):
    """The original minimax game, saturating for the generator (Goodfellow et al. 2014, equation 1).

    G minimises `E[log(1 - D(G(z)))]`, whose gradient vanishes where D is sure; kept for comparison.

    Args:
        real_label: target for real pictures in D's loss; 1 in the paper.
        fake_label: target for fake pictures in D's loss; 0 in the paper.
        flip: probability that D is given the other label for a sample; 0 in the paper.
    """

    def __init__(
        self, *, real_label: Probability = 1.0, fake_label: Probability = 0.0, flip: FlipProbability = 0.0
    ) -> None:
        super().__init__(real_label=real_label, fake_label=fake_label, flip=flip)

    def generator_loss(self, turn: Turn) -> Tensor:
        return -cross_entropy(turn.fake_logits, 0.0)
