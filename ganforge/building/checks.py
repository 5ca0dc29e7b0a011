"""Combinations that a recipe cannot have, found once its parts are built."""

from ganforge.building.terms import Terms
from ganforge.contradictions import batch_problems, group_problems
from ganforge.errors import LaunchError, Problem, RecipeError
from ganforge.game.augmentations import Augmentations
from ganforge.game.engine import WHOLE
from ganforge.game.player import Player
from ganforge.game.schedule import Schedule
from ganforge.objectives import Objective
from ganforge.recipe import Recipe
from ganforge.spec import DataSpec


def check_batch(recipe: Recipe, world_size: int) -> None:
    """Refuse a batch that does not divide into ranks, micro-batches, packs, and the discriminator's groups of samples.

    Raises:
        RecipeError: with the nearest sizes that would work.
    """
    if problems := list(batch_problems(recipe, world_size)) or list(group_problems(recipe, world_size)):
        raise RecipeError(recipe.name, problems)


def check_limits(player: Player) -> None:
    """Refuse limits that do not reach what ZeRO shards.

    Raises:
        LaunchError: naming them.
    """
    limits = player.limits
    if player.engine.layout != WHOLE and (limits.clip_value > 0 or limits.clip_weights > 0):
        raise LaunchError(
            f"optimizer.{player.role}: clip_value and clip_weights do not reach what {player.engine.layout} shards; "
            "use DDP, or clip_norm"
        )


NEEDS_WEIGHTS = {
    "needs_double_backward": "differentiates twice, so weights must be there after their layer's backward",
    "hooks_discriminator": "goes backward from inner layers of D, so weights must be there without the last layers'",
    "reads_weights": "looks at weights themselves",
}
"""Attributes of penalties, and why each needs more than weights that come and go with their layer's passes."""


def check_weights(recipe: Recipe, player: Player, terms: Terms) -> None:
    """Refuse access to weights outside a forward and its backward, where each rank holds only its shard.

    Raises:
        LaunchError: naming the penalty, or the switch.
    """
    if player.engine.has_whole_weights:
        return
    remedy = f"but {player.engine.layout} keeps them in parts; use ZeRO 2 or DDP"
    for index, weighted in enumerate(terms.penalties):
        for mark, reason in NEEDS_WEIGHTS.items():
            if getattr(weighted.penalty, mark):
                raise LaunchError(f"penalties.{index}: '{weighted.name}' {reason}, {remedy}")
    if recipe.performance.compile:
        raise LaunchError(
            f"performance.compile: a compiled network needs weights that stay in place, {remedy}, or set it to false"
        )


def check_pairs(recipe: Recipe, objective: Objective, spec: DataSpec) -> None:
    """Refuse shared fakes where each turn needs fakes of its own reals' classes.

    Raises:
        RecipeError: naming the switch.
    """
    if objective.pairs_labels and recipe.performance.reuse_fakes and spec.num_classes > 0:
        text = f"objective '{recipe.objective.name}' pairs fakes with the classes of each turn's reals; set it to false"
        raise RecipeError(recipe.name, [Problem("performance.reuse_fakes", text)])


def check_boundary(recipe: Recipe, objective: Objective, schedule: Schedule, augment: Augmentations) -> None:
    """Refuse components that rely on the sign of logits where the objective gives it no meaning.

    Raises:
        RecipeError: naming both.
    """
    if objective.has_boundary_at_zero:
        return
    places = [("schedule", recipe.schedule.name)] if schedule.needs_boundary_at_zero else []
    places += [
        (f"augment.{index}", recipe.augment[index].name)
        for index, step in augment.watching
        if step.needs_boundary_at_zero
    ]
    if places:
        text = (
            f"relies on the sign of D's logits, which means nothing under objective '{recipe.objective.name}' as it is "
            "set; use it with bce, minimax or hinge"
        )
        raise RecipeError(recipe.name, [Problem(path, f"'{name}' {text}") for path, name in places])
