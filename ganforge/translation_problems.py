"""Keys of a recipe that do not go together in a translation: a game whose generator is given pictures."""

from collections.abc import Iterator

from ganforge.errors import Problem
from ganforge.registry import register
from ganforge.tables import Recipe

PAIRS = "pairs"
"""The dataset whose samples have their source beside them."""


def is_translator(generator: str) -> bool:
    """Whether the generator of that name is given pictures: its signature names `source` before `*`."""
    return "source" in register.generator.get(generator).supplied


def has_pairs(recipe: Recipe) -> bool:
    """Whether each source belongs to a target: it is computed from it, or stored beside it."""
    return bool(recipe.degrade) or recipe.data.name == PAIRS


def translation_problems(recipe: Recipe) -> Iterator[Problem]:
    """What is wrong with the source of a game, and with what a source rules out."""
    yield from _of_source(recipe)
    if recipe.discriminator.sees_source:
        yield from _of_pairs(recipe)
    if is_translator(recipe.generator.name) and recipe.performance.reuse_fakes:
        yield Problem("performance.reuse_fakes", "shares latents, and a translation has none; set it to false")
    if recipe.training.pool and getattr(recipe.discriminator, "conditional", "none") not in (False, "none"):
        yield Problem("training.pool", "keeps pictures without their labels, which D looks at; set it to 0")
    if recipe.evaluation.domain is not None and recipe.domain is None:
        yield Problem("evaluation.domain", "takes the place of [domain], which is not there; use evaluation.data")
    for role in ("generator", "discriminator"):
        table = getattr(recipe.optimizer, role)
        if table.constant and table.decay == "none":
            path = f"optimizer.{role}.constant"
            yield Problem(path, "says when the decay begins, and there is none; set decay = 'linear'")


def _of_source(recipe: Recipe) -> Iterator[Problem]:
    """Exactly one kind of source, for a generator that is given one."""
    name = recipe.generator.name
    found = {
        "degrade": bool(recipe.degrade),
        "domain": recipe.domain is not None,
        "data": recipe.data.name == PAIRS,
    }
    given = [path for path, is_given in found.items() if is_given]
    if is_translator(name) and not given:
        text = (
            f"'{name}' makes pictures of pictures; add [[degrade]] (computed from the targets), [domain] (other "
            f"pictures), or data.name = '{PAIRS}'"
        )
        yield Problem("generator", text)
    elif given and not is_translator(name):
        known = ", ".join(other.name for other in register.generator.loaded() if "source" in other.supplied)
        yield Problem(given[0], f"generator '{name}' is given latents and no pictures; use one of {known}")
    if len(given) > 1:
        words = {"degrade": "[[degrade]]", "domain": "[domain]", "data": f"data.name = '{PAIRS}'"}
        both = " and ".join(words[path] for path in given)
        yield Problem(given[0], f"{both} each say what the generator is given; keep one")


def _of_pairs(recipe: Recipe) -> Iterator[Problem]:
    """What a discriminator that sees sources cannot have."""
    path = "discriminator.sees_source"
    if not has_pairs(recipe):
        yield Problem(path, f"needs a source that belongs to each target: [[degrade]], or data.name = '{PAIRS}'")
    if recipe.discriminator.packing > 1:
        yield Problem(path, "does not go with discriminator.packing; set that to 1")
    if recipe.training.pool:
        yield Problem(path, "does not go with training.pool, whose fakes have other sources; set that to 0")
    if recipe.health.held_out is not None:
        yield Problem(path, "does not go with health.held_out, whose samples have no sources; leave that table out")
