"""The terms of the players' losses, built from a recipe."""

from dataclasses import dataclass

from ganforge.building.parts import build_component
from ganforge.game.turn import Role
from ganforge.game.weighted_penalty import WeightedPenalty
from ganforge.objectives import Objective
from ganforge.recipe import Recipe
from ganforge.registry import register


@dataclass(frozen=True)
class Terms:
    """What the players' losses are made of."""

    objective: Objective
    penalties: list[WeightedPenalty]

    @property
    def go_back(self) -> bool:
        """Whether the game has two ways: a penalty looks at the way back."""
        return any(weighted.penalty.goes_back for weighted in self.penalties)

    def of(self, role: Role) -> list[WeightedPenalty]:
        """The penalties that join one player's loss."""
        return [weighted for weighted in self.penalties if weighted.penalty.player == role]


def build_terms(recipe: Recipe) -> Terms:
    penalties = []
    for index, table in enumerate(recipe.penalties):
        penalty = build_component(recipe, register.penalty, table, f"penalties.{index}")
        penalties.append(WeightedPenalty(table.name, penalty, table.weight, table.interval))
    return Terms(build_component(recipe, register.objective, recipe.objective, "objective"), penalties)
