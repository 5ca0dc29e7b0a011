"""What fine-tuning takes from its start beside weights, and what a frozen block must have been given."""

from ganforge.arguments import argument
from ganforge.augment.ada import ADA
from ganforge.errors import Problem, RecipeError
from ganforge.game.freezing import frozen_parameters
from ganforge.importing.fit import fit_of
from ganforge.importing.initial import Initial
from ganforge.training.run import Run

ROLE = "discriminator"


def check_frozen(run: Run, initial: Initial | None) -> None:
    """Refuse a new run whose frozen blocks would keep random weights.

    Args:
        run: built, not begun.
        initial: what it begins with, if anything.

    Raises:
        RecipeError: a frozen parameter would start fresh.
    """
    if not run.recipe.training.freeze:
        return
    network = run.networks.discriminator
    given = {} if initial is None else initial.networks.get(ROLE, {})
    if not given:
        where = "" if initial is None else f"{initial.path} has no discriminator: "
        text = f"{where}a new run's are random, and would stay so; name weights with {argument('init_from')}"
        raise RecipeError(run.recipe.name, [Problem("training.freeze", text)])
    rest = fit_of(network, given).rest
    fresh = [name for name in frozen_parameters(network) if name in rest]
    if fresh:
        more = f" and {len(fresh) - 1} more" if len(fresh) > 1 else ""
        text = f"'{fresh[0]}' ({rest[fresh[0]]}){more} would start fresh and stay so; freeze fewer blocks"
        raise RecipeError(run.recipe.name, [Problem("training.freeze", text)])


def carry_over_ada(run: Run, initial: Initial) -> list[str]:
    """Begin with the strength that ADA had reached, unless the recipe has an `initial`; returns lines for people."""
    reached = initial.ada_probability
    if reached is None:
        return []
    found = [step for step in run.augment if isinstance(step, ADA)]
    if not found:
        return [f"  ADA had reached a probability of {reached:.3f} there, and this recipe is without augment 'ada'"]
    lines = []
    for step in found:
        own = float(step.probability)
        if own > 0:
            lines.append(f"  ADA begins at the recipe's probability of {own:.3f}; there it ended at {reached:.3f}")
            continue
        step.begin_at(reached)
        lines.append(f"  ADA begins at a probability of {float(step.probability):.3f}; there it ended at {reached:.3f}")
    return lines
