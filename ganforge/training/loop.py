"""The training loop: two players take turns; once in a while something is logged, shown, measured or saved."""

from collections.abc import Callable, Mapping

from ganforge.errors import DivergenceError
from ganforge.parallel.signals import StopRequest
from ganforge.telemetry.progress import ProgressDisplay
from ganforge.telemetry.tracking import Tracking
from ganforge.training.between_steps.divergence import roll_back
from ganforge.training.between_steps.doctor import Watch
from ganforge.training.between_steps.evaluate import evaluate
from ganforge.training.between_steps.log import Stopwatch, log_figures
from ganforge.training.between_steps.samples import show_samples
from ganforge.training.run import Run
from ganforge.training.saving.saver import Saver
from ganforge.training.step import begin_step, finish_step, move

Report = Callable[[int, Mapping[str, float]], bool]
"""Called on every rank with the step and the evaluation's deciding figure; returns whether the run ends, the same on
all."""


def due(step: int, every: int) -> bool:
    """Whether something with an interval in steps happens after this step; an interval of 0 means never."""
    return every > 0 and step % every == 0


def train(run: Run, tracking: Tracking | None, display: ProgressDisplay, report: Report | None = None) -> int:
    """Train until the last step, or until asked to stop; after a divergence, roll back and continue if the recipe says
    so.

    Args:
        run: built, and restored if it has a checkpoint.
        tracking: on the main process; None on the others.
        display: what a person sees.
        report: called after every evaluation; may end the run.

    Returns:
        0 at the end, or the code with which the process should exit: 85 to be started again, 130 after Ctrl-C.

    Raises:
        DivergenceError: a loss or a weight is no longer finite; the last checkpoint stays as it is.
        CheckpointError: the last checkpoint of this process could not be written.
    """
    saver = Saver(run, display.say)
    stop = StopRequest(run.accelerator)
    doctor = Watch(run, tracking, display)
    try:
        with stop.listening():
            while True:
                try:
                    return alternate(run, tracking, display, saver, stop, doctor, report)
                except DivergenceError as error:
                    roll_back(run, tracking, display, saver, doctor, error)
    finally:
        saver.close()


def alternate(
    run: Run,
    tracking: Tracking | None,
    display: ProgressDisplay,
    saver: Saver,
    stop: StopRequest,
    doctor: Watch,
    report: Report | None = None,
) -> int:
    """The loop itself: two players take turns; once in a while there is something else to do."""
    recipe = run.recipe
    discriminator, generator = run.discriminator, run.generator
    watch = Stopwatch(run)
    if run.step == 0:
        show_samples(run, tracking, display, saver)
    while run.step < recipe.training.steps and not run.is_out_of_patience:
        begin_step(run)
        for moving, resting in ((discriminator, generator), (generator, discriminator)):
            if run.schedule.moves(moving.role):
                move(run, moving, resting)
        if news := finish_step(run):
            display.say(news)
        display.advance(run.images)

        step = run.step
        is_last = step == recipe.training.steps
        if due(step, recipe.training.log_every) or is_last:
            doctor.look(log_figures(run, tracking, display, watch))
        is_best = False
        if due(step, recipe.evaluation.every) or (is_last and recipe.evaluation.at_end):
            is_best = evaluate(run, tracking, display, saver)
            is_last = ends_here(run, report) or is_last or run.is_out_of_patience
        if due(step, recipe.samples.every) or is_last:
            show_samples(run, tracking, display, saver)
        exit_code = 0 if is_last else stop.agreed(step)
        wants_best = is_best and recipe.checkpoint.keep_best
        if due(step, recipe.checkpoint.every) or wants_best or is_last or exit_code:
            saver.save(must=is_last or exit_code != 0)
        if exit_code or is_last:
            return exit_code
    return 0


def ends_here(run: Run, report: Report | None) -> bool:
    """Report the evaluation just made; returns whether the run should end."""
    if report is None or run.evaluator is None:
        return False
    return report(run.step, run.progress.figures)
