"""The sweep itself: claim a trial, train it and report its result, until there are enough."""

import math
from collections.abc import Callable, Mapping

import tomli_w
import torch
from optuna.trial import TrialState

from ganforge.errors import DivergenceError, HealthError, LaunchError, RecipeError
from ganforge.metrics.best import goodness
from ganforge.parallel.start import forget_processes
from ganforge.sweep.plan import SweepPlan, deciding_figure, trial_name, ways_of
from ganforge.sweep.restart import move_study_aside
from ganforge.sweep.results import Outcome, outcome_of
from ganforge.sweep.space import assignments_of
from ganforge.sweep.study import Claim, SharedStudy
from ganforge.training.session import run_session
from ganforge.variables import as_written


def run_sweep(plan: SweepPlan, world_size: int, say: Callable[[str], None], restart: bool = False) -> Outcome:
    """Train trials until the study has enough of them, or until this process is asked to stop.

    Args:
        plan: plan of the sweep.
        world_size: processes that were started together.
        say: prints a line.
        restart: begin the study again, and move the folder's content aside.

    Raises:
        RecipeError: the recipe or an axis is wrong.
        GanforgeError: the storage cannot be used.
        LaunchError: several processes were started together.
    """
    if world_size > 1:
        raise LaunchError(
            "a sweep trains each trial in one process; start it once for each GPU instead, each with its own "
            "CUDA_VISIBLE_DEVICES and all with the same study and storage"
        )
    figure, direction = deciding_figure(plan.base)
    plan.check_values()  # before hours have gone into the trials with the right ones
    if restart and (place := move_study_aside(plan)) is not None:
        say(f"the content of {plan.folder} was moved to {place}")
    folder = plan.folder
    folder.mkdir(parents=True, exist_ok=True)
    study = SharedStudy(
        plan.study,
        plan.storage or f"sqlite:///{folder.resolve()}/study.db",
        folder,
        plan.axes,
        tomli_w.dumps(as_written(plan.base.to_dict())),
        direction,
        seed=plan.base.seed,
        prunes=plan.prunes,
    )
    exit_code = 0
    while exit_code == 0 and (claim := study.claim(plan.trials)) is not None:
        try:
            exit_code = run_trial(plan, study, claim, say)
        finally:
            claim.release()
    return outcome_of(plan, study, figure, exit_code)


def run_trial(plan: SweepPlan, study: SharedStudy, claim: Claim, say: Callable[[str], None]) -> int:
    """Train one trial and report it to the study. An error caused by this trial's values marks the trial as failed.

    Returns:
        the session's exit code; if it is not 0, the trial stays open for whoever comes next.
    """
    trial = claim.trial
    name = trial_name(plan.study, trial.number)
    assignments = assignments_of(trial.params)
    say(f"{name}{'' if claim.is_new else ' goes on'}: {', '.join(assignments)}")
    known = set(study.trials()[trial.number].intermediate_values)
    figure, ways = deciding_figure(plan.base)[0], ways_of(plan.base)

    def report(step: int, figures: Mapping[str, float]) -> bool:
        if math.isfinite(figures[figure]) and step not in known:
            trial.report(figures[figure], step)
            if goodness(figures, ways, figure) > goodness(trial.user_attrs.get("figures", {}), ways, figure):
                trial.set_user_attr("figures", {name: value for name, value in figures.items() if math.isfinite(value)})
        if trial.should_prune():
            trial.set_user_attr("pruned", step)
            return True
        return False

    if "pruned" not in trial.user_attrs:
        try:
            forget_processes()
            exit_code = run_session(plan.trial_recipe(trial.number, assignments), report=report)
        except (DivergenceError, HealthError, RecipeError, torch.OutOfMemoryError) as error:
            reason = str(error).splitlines()[0]
            say(f"{name} failed: {reason}")
            trial.set_user_attr("problem", reason)
            trial.set_user_attr("is_error", isinstance(error, RecipeError | torch.OutOfMemoryError))
            study.study.tell(trial, state=TrialState.FAIL)
            return 0
        if exit_code:
            return exit_code
    if "pruned" in trial.user_attrs:
        study.study.tell(trial, state=TrialState.PRUNED)
        say(f"{name} was ended at step {trial.user_attrs['pruned']:,}: worse than the median of the others")
        return 0
    value = study.best_value(study.trials()[trial.number])
    if value is None:
        trial.set_user_attr("problem", "no finite figure")
        study.study.tell(trial, state=TrialState.FAIL)
    else:
        study.study.tell(trial, value)
    return 0
