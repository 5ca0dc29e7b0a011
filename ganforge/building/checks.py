"""Combinations that a recipe cannot have, found once its parts are built."""

from torch import nn

from ganforge.building.terms import Terms
from ganforge.contradictions import batch_problems, group_problems
from ganforge.errors import LaunchError, Problem, RecipeError
from ganforge.game.augmentations import Augmentations
from ganforge.game.engine import WHOLE
from ganforge.game.penalty import Penalty
from ganforge.game.player import Player
from ganforge.game.schedule import Schedule
from ganforge.models.conditioning import Classifier
from ganforge.objectives import Objective
from ganforge.recipe import Recipe
from ganforge.spec import DataSpec
from ganforge.translation_problems import has_pairs


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
    if terms.objective.needs_classifier:
        raise LaunchError(f"objective: '{recipe.objective.name}' hears an inner layer of D, {remedy}")
    if recipe.performance.compile:
        raise LaunchError(
            f"performance.compile: a compiled network needs weights that stay in place, {remedy}, or set it to false"
        )


def check_classifier(recipe: Recipe, objective: Objective, discriminator: nn.Module) -> None:
    """Refuse an objective that hears a classifier where D has none, and a classifier that nobody hears.

    Raises:
        RecipeError: naming the option that brings both together.
    """
    has_one = any(isinstance(module, Classifier) for module in discriminator.modules())
    if objective.needs_classifier and not has_one:
        text = f"objective '{recipe.objective.name}' hears the classifier of D; set conditional = \"classifier\""
        raise RecipeError(recipe.name, [Problem("discriminator.conditional", text)])
    if has_one and not objective.needs_classifier:
        text = f"nobody hears the classifier under objective '{recipe.objective.name}'; set objective = \"acgan\""
        raise RecipeError(recipe.name, [Problem("discriminator.conditional", text)])


def check_pairs(recipe: Recipe, objective: Objective, spec: DataSpec) -> None:
    """Refuse shared fakes where each turn needs fakes of its own reals' classes.

    Raises:
        RecipeError: naming the switch.
    """
    if objective.pairs_labels and recipe.performance.reuse_fakes and spec.num_classes > 0:
        text = f"objective '{recipe.objective.name}' pairs fakes with the classes of each turn's reals; set it to false"
        raise RecipeError(recipe.name, [Problem("performance.reuse_fakes", text)])


def check_translation(recipe: Recipe, terms: Terms, source: DataSpec | None, spec: DataSpec) -> None:
    """Refuse penalties that look at what a game does not have, and what games with two ways cannot do yet.

    Raises:
        RecipeError: naming the penalty, or the switch.
    """
    is_paired = source is not None and has_pairs(recipe)
    for index, weighted in enumerate(terms.penalties):
        penalty, text = weighted.penalty, ""
        if penalty.needs_pairs and not is_paired:
            text = "compares each sample with its target, and these have none: use [[degrade]], or data.name = 'pairs'"
        elif penalty.goes_back and (source is None or recipe.domain is None):
            text = "goes to another domain and back, and this game has one: name it in [domain]"
        elif penalty.needs_equal_sides and (source is None or source.shape != spec.shape):
            text = "shows the generator targets in place of sources, and these differ in size or channels"
        elif terms.go_back and type(penalty).state_dict is not Penalty.state_dict:
            text = "remembers one game, and this one has two ways; leave it out"
        if text:
            raise RecipeError(recipe.name, [Problem(f"penalties.{index}", f"'{weighted.name}' {text}")])
    if not terms.go_back:
        return
    refused = {
        "training.ema_batch_norm": recipe.training.ema_batch_norm == "reestimate",
        "performance.compile": recipe.performance.compile,
        "health.held_out": recipe.health.held_out is not None,
    }
    for path, is_set in refused.items():
        if is_set:
            text = "is for games with one way, and a penalty of this one goes back; leave it out"
            raise RecipeError(recipe.name, [Problem(path, text)])


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
