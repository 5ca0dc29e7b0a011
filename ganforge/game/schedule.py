"""What a schedule is: it decides who moves in a step."""

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any

from torch import Tensor

from ganforge.game.turn import Role, Turn

Average = Callable[[Tensor], Tensor]
"""Mean of a tensor over all ranks, which call it together."""


class Schedule(ABC):
    """Decides before each step who moves in it, from what it saw in the steps before; the same on every rank.

    `needs_boundary_at_zero` says whether it goes by D's accuracy, which not every objective gives a meaning.
    """

    needs_boundary_at_zero: bool = False

    @abstractmethod
    def moves(self, role: Role) -> bool:
        """Whether this player moves in the step that begins."""

    def observe(self, turn: Turn) -> None:
        """Look at a piece of a turn after its losses were computed. Must not wait for the device."""

    def adapt(self, step: int, average: Average) -> str:
        """After each step, on all ranks together: decide about the next. A line for the log if something changed."""
        return ""

    def figures(self) -> dict[str, float]:
        """For the log."""
        return {}

    def state_dict(self) -> dict[str, Any]:
        """What must survive a checkpoint; saved for each rank."""
        return {}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take back what `state_dict` gave."""
