"""What an objective is, and what its families share.

An objective is given the whole turn and not bare logits, so that losses that compare real with
fake fit as well. Logits, never probabilities: the logistic functions are computed in one stable
piece (`softplus`), which also holds under autocast.
"""

from abc import ABC, abstractmethod

from torch import Tensor

from ganforge.game.turn import Turn


class Objective(ABC):
    """The two losses of a game. Both return a scalar, the mean over the batch of the turn.

    `generator_sees_real` says whether the generator's loss looks at real pictures; if not, its turns take none
    from the loader. `has_boundary_at_zero` says whether a logit above 0 means that D takes a sample for real; where
    only differences of logits count, its accuracy has no meaning, and components that rely on it are refused.
    `pairs_labels` says that the i-th fake picture is compared with the i-th real one and must be of its class.
    `needs_classifier` says that it hears the classifier of a discriminator that has one, which then is not compiled.
    """

    generator_sees_real: bool = False
    has_boundary_at_zero: bool = True
    pairs_labels: bool = False
    needs_classifier: bool = False

    @abstractmethod
    def discriminator_loss(self, turn: Turn) -> Tensor:
        """What the discriminator minimises: a scalar from `turn.real_logits` and `turn.fake_logits`."""

    @abstractmethod
    def generator_loss(self, turn: Turn) -> Tensor:
        """What the generator minimises: a scalar, usually from `turn.fake_logits`."""
