"""A schedule: who moves in a step."""

from typing import Annotated, Any

from pydantic import Field

from ganforge import register
from ganforge.game.schedule import Average, Schedule
from ganforge.game.turn import Role


@register.schedule("head_start")
class HeadStart(Schedule):
    """Train the discriminator alone for the first steps, then both.

    Args:
        steps: number of steps in which the generator rests.
    """

    def __init__(self, *, steps: Annotated[int, Field(ge=0)] = 100) -> None:
        self.steps = steps
        self._done = 0

    def moves(self, role: Role) -> bool:
        return role == "discriminator" or self._done >= self.steps

    def adapt(self, step: int, average: Average) -> str:
        self._done = step
        return f"step {step:,}: the generator begins to learn" if step == self.steps else ""

    def state_dict(self) -> dict[str, Any]:
        return {"done": self._done}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self._done = state["done"]
