"""Keys of a recipe that are each right and do not go together."""

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from ganforge.errors import Problem, RecipeError
from ganforge.nested import flat, put
from ganforge.options import did_you_mean, is_list
from ganforge.tables import RampTable, Recipe


def contradictions(recipe: Recipe, resolve: Callable[[dict[str, Any]], object]) -> Iterator[Problem]:
    """What no single key can know.

    Args:
        recipe: valid key by key.
        resolve: tells by its `RecipeError` what is wrong with other tables.
    """
    training = recipe.training
    for player in ("discriminator", "generator"):
        pieces = getattr(training, f"{player}_micro_batches")
        if training.batch_size % pieces:
            yield Problem(
                f"training.{player}_micro_batches",
                f"{pieces} pieces do not divide the batch of {training.batch_size}; use a divisor",
            )
    performance = recipe.performance
    if performance.cuda_graphs and not performance.compile:
        yield Problem(
            "performance.cuda_graphs", "graphs are taken of compiled networks; set performance.compile = true"
        )
    if performance.reuse_fakes and performance.cuda_graphs:
        yield Problem(
            "performance.reuse_fakes", "fakes of a CUDA graph do not outlive their turn; choose one of the two"
        )
    if performance.reuse_fakes and training.discriminator_micro_batches * training.generator_micro_batches > 1:
        yield Problem(
            "performance.reuse_fakes",
            "works on whole turns; set training.discriminator_micro_batches and generator_micro_batches to 1",
        )
    if performance.reuse_fakes and recipe.schedule.name != "fixed":
        yield Problem(
            "performance.reuse_fakes", "needs a turn of the discriminator in every step; use schedule = 'fixed'"
        )
    if training.batch_size % recipe.discriminator.packing:
        yield Problem(
            "discriminator.packing",
            f"packs of {recipe.discriminator.packing} do not divide the batch of {training.batch_size}; use a divisor",
        )
    options = dict(flat(recipe.to_dict()))
    for index, ramp in enumerate(recipe.ramps):
        if ramp.option in [other.option for other in recipe.ramps[:index]]:
            yield Problem(f"ramps.{index}.option", f"'{ramp.option}' has a ramp already; an option can have one")
        wrong = list(_ramp_problems(f"ramps.{index}", ramp, options))
        yield from wrong or _ramp_end_problems(f"ramps.{index}", ramp, recipe, resolve)
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


def _ramp_end_problems(
    path: str, ramp: RampTable, recipe: Recipe, resolve: Callable[[dict[str, Any]], object]
) -> Iterator[Problem]:
    """What the recipe would answer if an end of the ramp stood in the option's place."""
    for end in ("start", "end"):
        value = getattr(ramp, end)
        if ramp.option.endswith(".lr") and value == 0:
            continue  # a rate may fall to nothing, though it cannot begin so
        tables = recipe.to_dict()
        tables.pop("ramps")
        keys = ramp.option.split(".")
        current: Any = tables
        for key in keys:
            current = current[int(key)] if is_list(current) else current[key]
        put(tables, keys, round(value) if isinstance(current, int) else value, ramp.option)
        try:
            resolve(tables)
        except RecipeError as error:
            yield Problem(f"{path}.{end}", f"'{ramp.option}' cannot be {value:g}: {error.problems[0].message}")
