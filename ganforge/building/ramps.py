"""Options that move while training: pure functions of the images seen, so a resumed run needs no state of them."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from ganforge.errors import Problem, RecipeError
from ganforge.game.player import Player
from ganforge.tables import RampTable, Recipe


@dataclass(frozen=True)
class Ramp:
    """One option on its way.

    Args:
        table: of the recipe.
        put: sets the option.
    """

    table: RampTable
    put: Callable[[float], None]

    def value(self, images: int) -> float:
        """The option after a number of images."""
        table = self.table
        done = min(1.0, max(0.0, (images - table.begin) / table.over))
        if table.shape == "exponential":
            return table.start * (table.end / table.start) ** done
        if table.shape == "cosine":
            done = 0.5 * (1.0 - math.cos(math.pi * done))
        return table.start + (table.end - table.start) * done

    def apply(self, images: int) -> None:
        self.put(self.value(images))


def build_ramps(recipe: Recipe, places: dict[str, Any], players: Sequence[Player], averaged: Any) -> list[Ramp]:
    """The recipe's ramps, each tied to the built part that it moves.

    Args:
        recipe: resolved.
        places: built components by their path in the recipe, such as `penalties.0`.
        players: both, for their optimizers.
        averaged: the averaged generator.

    Raises:
        RecipeError: no built part has such an option, or it was read once when the part was made.
    """
    ramps = []
    for index, table in enumerate(recipe.ramps):
        setter = _optimizer_setter(table.option, players) or _setter(table.option, places, averaged)
        if setter is None:
            movable = ", ".join([*places, "optimizer.generator", "optimizer.discriminator", "training.ema"])
            text = f"'{table.option}' cannot move while training; what can stands in: {movable}"
            raise RecipeError(recipe.name, [Problem(f"ramps.{index}.option", text)])
        ramps.append(Ramp(table, setter))
    return ramps


def _setter(option: str, places: dict[str, Any], averaged: Any) -> Callable[[float], None] | None:
    if option == "training.ema":
        return lambda value: setattr(averaged, "half_life", value)
    place, _, name = option.rpartition(".")
    target = places.get(place)
    if place.startswith("penalties.") and name == "interval":
        return None  # it also says in which steps the penalty is due
    if place.startswith("penalties.") and name != "weight" and target is not None:
        target = target.penalty
    current = getattr(target, name, None)
    if isinstance(current, bool) or not isinstance(current, int | float):
        return None
    if isinstance(current, int):
        return lambda value: setattr(target, name, round(value))
    return lambda value: setattr(target, name, value)


def _optimizer_setter(option: str, players: Sequence[Player]) -> Callable[[float], None] | None:
    """Learning rates go through the player, which has their warm-up; other options stand in the parameter groups."""
    for player in players:
        prefix = f"optimizer.{player.role}."
        if not option.startswith(prefix):
            continue
        name, *rest = option.removeprefix(prefix).split(".")
        if name == "lr" and not rest:
            return player.set_learning_rate
        if name in ("clip_norm", "clip_value", "clip_weights") and not rest:
            return lambda value, limits=player.limits: setattr(limits, name, value)
        group = player.engine.param_groups[0]
        current = group.get(name)
        if rest and isinstance(current, tuple | list) and rest[0].isdigit() and int(rest[0]) < len(current):
            return lambda value, player=player: _put_in_tuple(player, name, int(rest[0]), value)
        if not rest and isinstance(current, int | float) and not isinstance(current, bool):
            return lambda value, player=player: _put_in_groups(player, name, value)
    return None


def _put_in_groups(player: Player, name: str, value: float) -> None:
    for group in player.engine.param_groups:
        group[name] = value


def _put_in_tuple(player: Player, name: str, index: int, value: float) -> None:
    for group in player.engine.param_groups:
        values = list(group[name])
        values[index] = value
        group[name] = tuple(values)
