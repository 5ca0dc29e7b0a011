"""The plan of a sweep: a recipe, the options that are varied, and the figure that its runs are compared by."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

from ganforge.errors import ContradictionError, Problem, RecipeError
from ganforge.recipe import Recipe, override, resolve
from ganforge.registry import register
from ganforge.sweep.space import Axis, assignment


@dataclass(frozen=True)
class SweepPlan:
    """Everything that defines a sweep.

    Args:
        table: the recipe's tables, before they are resolved.
        source: where they came from, for messages.
        axes: options that are varied.
        trials: number of trials.
        study: name of the study; trial 3 trains in `<output>/<study>/<study>-0003`.
        storage: database URL; empty for a SQLite file in the study's folder.
        prunes: whether a trial that does worse than the median of the others ends early.
    """

    table: Mapping[str, Any]
    source: str
    axes: Sequence[Axis]
    trials: int
    study: str
    storage: str = ""
    prunes: bool = True

    @cached_property
    def base(self) -> Recipe:
        """The recipe that is varied.

        Raises:
            RecipeError: the recipe is wrong without any of the values.
        """
        return resolve(self.table, self.source)

    @property
    def folder(self) -> Path:
        """The folder that holds the run folders of all trials."""
        return Path(self.base.output) / self.study

    def trial_recipe(self, number: int, assignments: Sequence[str]) -> Recipe:
        """The recipe that one trial trains.

        Raises:
            RecipeError: the recipe is not valid with these values.
        """
        own = {"name": trial_name(self.study, number), "output": str(self.folder)}
        if self.base.tracking.wandb is not None:
            own["tracking.wandb.group"] = self.study
        return self._with(assignments, own)

    def check_values(self) -> None:
        """Check that every value is valid for its option. Whether values fit together is seen only in their trials.

        Raises:
            RecipeError: values are wrong; the message lists all of them.
        """
        examples = {axis.path: axis.examples() for axis in self.axes}
        firsts = {path: assignments[0] for path, assignments in examples.items()}
        problems: dict[Problem, None] = {}
        for path, assignments in examples.items():
            for text in assignments:
                try:
                    self.trial_recipe(0, list({**firsts, path: text}.values()))
                except ContradictionError:
                    continue
                except RecipeError as error:
                    problems |= dict.fromkeys(error.problems)
        if problems:
            raise RecipeError(self.source, list(problems))

    def best_recipe(self, assignments: Sequence[str]) -> Recipe:
        """The same values for a run outside of the study."""
        return self._with(assignments, {"name": f"{self.study}-best", "output": self.base.output})

    def _with(self, assignments: Sequence[str], own: Mapping[str, str]) -> Recipe:
        texts = [
            assignment(path, json.dumps(text, ensure_ascii=False)) for path, text in own.items()
        ]  # TOML's form too
        return resolve(override(self.table, [*assignments, *texts]), self.source)


def trial_name(study: str, number: int) -> str:
    return f"{study}-{number:04d}"


def ways_of(recipe: Recipe) -> dict[str, str]:
    """Every figure that the recipe's metrics give, and whether "lower" or "higher" is better."""
    ways: dict[str, str] = {}
    for table in recipe.evaluation.metrics:
        ways |= getattr(register.metric.get(table.name).factory, "better", {})
    return ways


def deciding_figure(recipe: Recipe) -> tuple[str, Literal["minimize", "maximize"]]:
    """The figure that trials are compared by, and `minimize` or `maximize`.

    Raises:
        RecipeError: the recipe evaluates nothing, or no metric gives its `evaluation.best`.
    """
    ways = ways_of(recipe)
    figure = recipe.evaluation.best or next(iter(ways), None)
    if figure is None:
        text = "is empty, but a sweep compares trials by a figure; list a metric"
        raise RecipeError(recipe.name, [Problem("evaluation.metrics", text)])
    if figure not in ways:
        raise RecipeError(
            recipe.name, [Problem("evaluation.best", f"no metric gives '{figure}'; there are: {', '.join(ways)}")]
        )
    return figure, "minimize" if ways[figure] == "lower" else "maximize"
