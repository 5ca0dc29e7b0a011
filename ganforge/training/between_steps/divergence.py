"""The way back after something was no longer finite."""

from ganforge.errors import DivergenceError
from ganforge.saved.newest import Found, find_usable
from ganforge.telemetry.progress import ProgressDisplay
from ganforge.telemetry.tracking import Tracking
from ganforge.training.between_steps.doctor import Watch
from ganforge.training.run import Run
from ganforge.training.saving.go_back import choose_checkpoint, go_back
from ganforge.training.saving.saver import Saver
from ganforge.wording import counted


def roll_back(
    run: Run, tracking: Tracking | None, display: ProgressDisplay, saver: Saver, doctor: Watch, error: DivergenceError
) -> None:
    """Go back to the newest checkpoint that is what was written, with finite weights, and learn more slowly from there.

    Raises:
        DivergenceError: the recipe does not want it, it happened too often, or there is no checkpoint.
    """
    training = run.recipe.training
    if training.on_divergence == "stop":
        doctor.diverged(error)
        raise error
    saver.wait(must=False)
    if run.progress.rollbacks >= training.rollback_limit:
        doctor.diverged(error)
        raise DivergenceError(f"{error} (after {counted(run.progress.rollbacks, 'rollback')})") from error
    looks = run.accelerator.is_main_process
    found = choose_checkpoint(run, find_usable(run.files.checkpoints) if looks else Found(None))
    if found.checkpoint is None:
        doctor.diverged(error)
        raise DivergenceError(f"{error} (there is no checkpoint to go back to)") from error
    rollbacks = run.progress.rollbacks + 1
    passed_over = go_back(run, found)
    run.progress.rollbacks = rollbacks
    run.meters.clear()
    if tracking is not None:
        tracking.rewind(run.step)
    doctor.rolled_back(error)
    display.say(f"{error}")
    for passed in passed_over:
        display.say(passed)
    display.say(
        f"rolled back to step {run.step:,} ({rollbacks} of {training.rollback_limit}); "
        f"learning rates are now {run.learning_rate_scale:g} of the recipe's"
    )
    saver.save(must=True)  # so that a kill does not forget the rollback
