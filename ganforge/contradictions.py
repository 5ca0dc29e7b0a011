"""Keys of a recipe that are each right and do not go together."""

import math
from collections.abc import Iterator, Mapping
from typing import Any

from ganforge.division import undivided
from ganforge.errors import Problem
from ganforge.nested import flat, is_list, put
from ganforge.options import OptionsModel, validate
from ganforge.tables import RampTable, Recipe
from ganforge.translation_problems import translation_problems
from ganforge.wording import counted, did_you_mean


def contradictions(recipe: Recipe) -> Iterator[Problem]:
    """What no single key can know.

    Args:
        recipe: valid key by key.
    """
    training = recipe.training
    yield from batch_problems(recipe)
    performance = recipe.performance
    if performance.reuse_fakes and performance.cuda_graphs:
        yield Problem("performance.reuse_fakes", "a CUDA graph is of one turn, and these fakes are of two; choose one")
    if performance.reuse_fakes and training.discriminator_micro_batches * training.generator_micro_batches > 1:
        yield Problem(
            "performance.reuse_fakes",
            "works on whole turns; set training.discriminator_micro_batches and generator_micro_batches to 1",
        )
    if performance.reuse_fakes and recipe.schedule.name != "fixed":
        yield Problem(
            "performance.reuse_fakes", "needs a turn of the discriminator in every step; use schedule = 'fixed'"
        )
    yield from translation_problems(recipe)
    options = dict(flat(recipe.to_dict()))
    for index, ramp in enumerate(recipe.ramps):
        if ramp.option in [other.option for other in recipe.ramps[:index]]:
            yield Problem(f"ramps.{index}.option", f"'{ramp.option}' has a ramp already; an option can have one")
        wrong = list(_ramp_problems(f"ramps.{index}", ramp, options))
        yield from wrong or _ramp_end_problems(f"ramps.{index}", ramp, recipe)
    evaluation = recipe.evaluation
    if evaluation.patience and not (evaluation.metrics and evaluation.every):
        yield Problem("evaluation.patience", "counts evaluations in training; list a metric and set evaluation.every")
    if recipe.evaluation.best is not None and not recipe.evaluation.metrics:
        yield Problem("evaluation.best", "names a figure, but evaluation.metrics is empty; list a metric")


def _ramp_problems(path: str, ramp: RampTable, options: Mapping[str, Any]) -> Iterator[Problem]:
    """What is wrong with a ramp that the recipe alone can tell: it names no number, or its ends have no ratio."""
    option, _, last = ramp.option.rpartition(".")
    value = options.get(ramp.option)
    if value is None and last.isdigit() and is_list(options.get(option)) and int(last) < len(options[option]):
        value = options[option][int(last)]
    if ramp.option.startswith("ramps."):
        yield Problem(f"{path}.option", f"'{ramp.option}' is of a ramp itself; name the option of a part")
    elif value is None:
        yield Problem(f"{path}.option", f"the recipe has no option '{ramp.option}'{did_you_mean(ramp.option, options)}")
    elif isinstance(value, bool) or not isinstance(value, int | float):
        yield Problem(f"{path}.option", f"'{ramp.option}' is {value!r}, and only numbers can move")
    if ramp.shape == "exponential" and (ramp.start <= 0 or ramp.end <= 0):
        yield Problem(f"{path}.shape", "an exponential ramp goes by equal factors; start and end must be above 0")


def _ramp_end_problems(path: str, ramp: RampTable, recipe: Recipe) -> Iterator[Problem]:
    """What the option's own table would answer if an end of the ramp stood in the option's place."""
    table, keys = _table_at(recipe, ramp.option.split("."))
    for end, value in (("start", ramp.start), ("end", ramp.end)):
        if ramp.option.endswith(".lr") and value == 0:
            continue  # a rate may fall to nothing, though it cannot begin so
        values = table.model_dump(mode="json", exclude_none=True)
        current: Any = values
        for key in keys:
            current = current[int(key)] if is_list(current) else current[key]
        put(values, keys, round(value) if isinstance(current, int) else value, ramp.option)
        _, problems = validate(type(table), values)
        if problems:
            yield Problem(f"{path}.{end}", f"'{ramp.option}' cannot be {value:g}: {problems[0].message}")


def _table_at(recipe: OptionsModel, keys: list[str]) -> tuple[OptionsModel, list[str]]:
    """The innermost table on the way to an option, and the rest of the way."""
    table, rest = recipe, keys
    current: Any = recipe
    for depth, key in enumerate(keys):
        current = current[int(key)] if isinstance(current, tuple) else getattr(current, key)
        if isinstance(current, OptionsModel):
            table, rest = current, keys[depth + 1 :]
    return table, rest


def batch_problems(recipe: Recipe, ranks: int = 1) -> Iterator[Problem]:
    """Why a batch cannot be divided into ranks, micro-batches, and packs, if it cannot."""
    training, packing = recipe.training, recipe.discriminator.packing
    for micro_batches in dict.fromkeys((training.discriminator_micro_batches, training.generator_micro_batches)):
        if text := undivided(training.batch_size, ranks, micro_batches):
            yield Problem("training.batch_size", text)
            return
        samples = training.batch_size // (ranks * micro_batches)
        if samples % packing:
            is_part = ranks * micro_batches > 1
            of = f"the {samples} samples of a micro-batch on one rank" if is_part else f"the batch of {samples}"
            yield Problem("discriminator.packing", f"packs of {packing} do not divide {of}; use a divisor")
            return


def group_problems(recipe: Recipe, ranks: int) -> Iterator[Problem]:
    """Groups of `minibatch_std` that do not divide what the discriminator sees at once, with what would do."""
    wanted = getattr(recipe.discriminator, "minibatch_std", 0)
    if not isinstance(wanted, int) or wanted < 2:
        return
    training, packing = recipe.training, recipe.discriminator.packing
    pieces = (training.discriminator_micro_batches, training.generator_micro_batches)
    seen = [training.batch_size // (ranks * count * packing) for count in pieces]
    wrong = [count for count in seen if count == 1 or count % min(wanted, count)]
    if not wrong:
        return
    sizes = [str(size) for size in range(2, min(seen) + 1) if math.gcd(*seen) % size == 0]
    *most, last = sizes[:4] or [""]
    remedy = f"use {', '.join(most)}{' or ' if most else ''}{last}, or " if sizes else ""
    multiple = ranks * math.lcm(*pieces) * packing * wanted
    text = (
        f"groups of {wanted} do not divide the {counted(wrong[0], 'sample')} that D sees at once on one rank; "
        f"{remedy}make training.batch_size a multiple of {multiple}"
    )
    yield Problem("discriminator.minibatch_std", text)
