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

    `needs_boundary_at_zero` says whether it relies on D's accuracy, which has no meaning under some objectives.
    """

    needs_boundary_at_zero: bool = False

    @abstractmethod
    def moves(self, role: Role) -> bool:
        """Whether this player moves in the step that begins."""

    def observe(self, turn: Turn) -> None:
        """Look at a micro-batch of a turn after its losses were computed. Must not wait for the device."""

    def adapt(self, step: int, average: Average) -> str:
        """After each step, on all ranks together: decide about the next. A line for the log if something changed."""
        return ""

    def figures(self) -> dict[str, float]:
        """For the log."""
        return {}

    def state_dict(self) -> dict[str, Any]:
        """State to save in a checkpoint, for each rank."""
        return {}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restore what `state_dict` returned."""
