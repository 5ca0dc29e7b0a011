"""What a penalty is: a term beside the objective that belongs to one player and joins that player's single loss.

A penalty with `interval = k` is computed in every k-th step and multiplied by k, so its expected
weight stays (lazy regularisation, Karras et al. 2020, section 3.1).
"""

from abc import ABC, abstractmethod
from typing import Annotated, Any

from pydantic import Field
from torch import Tensor

from ganforge.game.turn import Role, Turn

Strength = Annotated[float, Field(gt=0)]


class Penalty(ABC):
    """A scalar that one player adds to its loss.

    `player` says whose loss it joins; an option of that name may set it. `sees_real` says whether it looks at real
    pictures, `needs_double_backward` whether it differentiates the player's network and is differentiated itself, which
    compiled networks cannot, `hooks_discriminator` whether it reads inner layers of D, which compiled networks do not
    show, and `reads_weights` whether it looks at weights themselves. ZeRO 3 supports none of the last three.

    Under `performance.cuda_graphs` its Python no longer runs once a turn is recorded. A penalty that changes what it
    holds, or asks for the turn's step, is noticed and not recorded; what it keeps outside of itself is not noticed.

    Of translations: `needs_pairs` says that the i-th sample is compared with the i-th target, `needs_equal_sides` that
    the generator is shown targets as if they were sources, and `goes_back` that it looks at `turn.back`, which gives
    the game two ways.
    """

    player: Role = "discriminator"
    sees_real: bool = True
    needs_double_backward: bool = False
    hooks_discriminator: bool = False
    reads_weights: bool = False
    needs_pairs: bool = False
    needs_equal_sides: bool = False
    goes_back: bool = False

    @abstractmethod
    def __call__(self, turn: Turn) -> Tensor:
        """The penalty before its weight: a scalar, the mean over the batch of the turn."""

    def state_dict(self) -> dict[str, Any]:
        """State to save in a checkpoint, tensors and plain values; most penalties have none."""
        return {}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restore what `state_dict` returned."""
