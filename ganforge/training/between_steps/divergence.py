"""What is no longer finite: before a checkpoint, and the way back after it."""

import torch

from ganforge.errors import DivergenceError
from ganforge.saved.checkpoint import Checkpoint, what_is_kept, whole_checkpoints
from ganforge.training.between_steps.doctor import Watch
from ganforge.training.run import Run
from ganforge.training.saving.restore import restore
from ganforge.training.saving.saver import Saver
from ganforge.training.telemetry.progress import ProgressDisplay
from ganforge.training.telemetry.tracking import Tracking
from ganforge.wording import counted


def roll_back(
    run: Run, tracking: Tracking | None, display: ProgressDisplay, saver: Saver, doctor: Watch, error: DivergenceError
) -> None:
    """Go back to the newest whole checkpoint and go on with a smaller learning rate.

    Raises:
        DivergenceError: the recipe does not want it, it happened too often, or there is no checkpoint.
    """
    training = run.recipe.training
    if training.on_divergence == "stop":
        doctor.diverged(error)
        raise error
    saver.wait(must=False)
    checkpoints = whole_checkpoints(run.folder / "checkpoints")
    if run.progress.rollbacks >= training.rollback_limit or not checkpoints:
        doctor.diverged(error)
        after = f"after {counted(run.progress.rollbacks, 'rollback')}"
        reason = after if checkpoints else "there is no checkpoint to go back to"
        raise DivergenceError(f"{error} ({reason})") from error
    rollbacks = run.progress.rollbacks + 1
    restore(run, Checkpoint(checkpoints[-1]))
    run.progress.rollbacks = rollbacks
    run.meters.clear()
    if tracking is not None:
        tracking.rewind(run.step)
    doctor.rolled_back(error)
    display.say(f"{error}")
    display.say(
        f"rolled back to step {run.step:,} ({rollbacks} of {training.rollback_limit}); "
        f"learning rates are now {run.learning_rate_scale:g} of the recipe's"
    )
    saver.save(must=True)  # so that a kill does not forget the rollback


def require_finite_weights(run: Run) -> None:
    """Before a checkpoint: an update can spoil weights whose loss was still finite, and no loss has shown it yet.

    Raises:
        DivergenceError: naming the player.
    """
    with run.gathered():
        for name, network in run.saved_networks().items():
            norms = torch._foreach_norm(list(network.parameters()))  # pyright: ignore[reportPrivateImportUsage]
            if not bool(torch.stack([norm.float() for norm in norms]).isfinite().all()):
                player = "generator" if name == "averaged" else name
                raise DivergenceError(
                    f"step {run.step:,}: the {player}'s weights are no longer finite; "
                    f"{what_is_kept(run.folder / 'checkpoints')}. A smaller optimizer.{player}.lr often helps"
                )
