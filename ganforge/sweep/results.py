"""Results of a sweep: a row for each trial, and the recipe of the best."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from optuna.trial import TrialState

from ganforge.files import write_text
from ganforge.metrics.best import goodness
from ganforge.recipe import dump
from ganforge.sweep.plan import SweepPlan, ways_of
from ganforge.sweep.space import assignments_of
from ganforge.sweep.study import SharedStudy


@dataclass(frozen=True)
class Row:
    """One trial, as a row to be shown.

    Args:
        number: number of the trial.
        state: `finished`, `pruned`, `failed` or `running`.
        values: values of the options that are varied.
        figure: the best value of the figure that decides, if it was ever evaluated.
        step: step of its last evaluation.
        note: reason of a failure.
        is_error: whether it failed by an error that the user has to fix; a divergence is a valid result of a sweep.
    """

    number: int
    state: str
    values: dict[str, Any]
    figure: float | None
    step: int | None
    note: str
    is_error: bool = False


@dataclass(frozen=True)
class Outcome:
    """Results of a sweep so far, over all processes.

    Args:
        exit_code: code that this process was asked to exit with; else 2 if a trial failed by an error or all of them
            failed, or 0.
        figure: name of the figure that decides.
        rows: trials by number.
        best: number of the best finished trial.
        recipe: file with the best trial's recipe, under a name of its own.
    """

    exit_code: int
    figure: str
    rows: list[Row]
    best: int | None
    recipe: Path | None


STATES = {
    TrialState.COMPLETE: "finished",
    TrialState.PRUNED: "pruned",
    TrialState.FAIL: "failed",
    TrialState.RUNNING: "running",
    TrialState.WAITING: "waiting",
}


def outcome_of(plan: SweepPlan, study: SharedStudy, figure: str, exit_code: int) -> Outcome:
    """Collect the results of all processes; writes the best recipe if there is one."""
    trials = study.trials()
    rows = [
        Row(
            trial.number,
            STATES[trial.state],
            dict(trial.params),
            study.best_value(trial),
            trial.last_step,
            trial.user_attrs.get("problem", ""),
            trial.user_attrs.get("is_error", False),
        )
        for trial in trials
    ]
    if any(row.is_error for row in rows) or all(trial.state == TrialState.FAIL for trial in trials):
        exit_code = exit_code or 2
    if all(trial.state != TrialState.COMPLETE for trial in trials):
        return Outcome(exit_code, figure, rows, None, None)
    finished = [trial for trial in trials if trial.state == TrialState.COMPLETE]
    best = max(finished, key=lambda trial: goodness(trial.user_attrs.get("figures", {}), ways_of(plan.base), figure))
    path = study.folder / "best.toml"
    write_text(path, dump(plan.best_recipe(assignments_of(best.params))))
    return Outcome(exit_code, figure, rows, best.number, path)
