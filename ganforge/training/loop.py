"""The training loop: two players take turns; once in a while something is logged, shown, measured or saved."""

import math
import time
from collections.abc import Callable, Mapping

import numpy as np
import torch

from ganforge.doctor.history import is_looked_at
from ganforge.errors import DivergenceError
from ganforge.files import replaced
from ganforge.grid import picture_of
from ganforge.metrics.samples import real_samples
from ganforge.training.checkpoint import Checkpoint, what_is_kept, whole_checkpoints
from ganforge.training.evaluation import evaluate
from ganforge.training.health.watch import Watch, only_finite
from ganforge.training.performance import begin_turn
from ganforge.training.player import Player
from ganforge.training.progress import ProgressDisplay
from ganforge.training.run import Run
from ganforge.training.saving import Saver, restore
from ganforge.training.signals import StopRequest
from ganforge.training.tracking import Tracking
from ganforge.wording import counted

TOLERABLE_WAIT = 0.1
"""Share of the time that a step may wait for data before the log says what helps."""

Report = Callable[[int, Mapping[str, float]], bool]
"""Takes the step and the evaluation's deciding figure, on every rank; says, on all alike, whether to end the run."""


def due(step: int, every: int) -> bool:
    """Whether something that happens every so many steps happens after this one; 0 means never."""
    return every > 0 and step % every == 0


def train(run: Run, tracking: Tracking | None, display: ProgressDisplay, report: Report | None = None) -> int:
    """Step until the recipe's end, or until asked to stop; go back and go on after a divergence if the recipe says so.

    Args:
        run: built, and restored if it was begun before.
        tracking: on the main process; None on the others.
        display: what a person sees.
        report: told of every evaluation; may end the run.

    Returns:
        0 at the end, or the exit code with which the process should leave: 85 to be started again, 130 after Ctrl-C.

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
        show_samples(run, tracking)
    while run.step < recipe.training.steps and not run.is_out_of_patience:
        begin_step(run)
        for moving, resting in ((discriminator, generator), (generator, discriminator)):
            if run.schedule.moves(moving.role):
                move(run, moving, resting)
        if news := finish_step(run):
            display.say(news)
        display.advance(run.images)

        is_last = run.step == recipe.training.steps
        if due(run.step, recipe.training.log_every) or is_last:
            doctor.look(log_figures(run, tracking, display, watch))
        is_best = False
        if due(run.step, recipe.evaluation.every) or (is_last and recipe.evaluation.at_end):
            is_best = evaluate(run, tracking, display)
            is_last = ends_here(run, report) or is_last or run.is_out_of_patience
        if due(run.step, recipe.samples.every) or is_last:
            show_samples(run, tracking)
        exit_code = 0 if is_last else stop.agreed(run.step)
        wants_best = is_best and recipe.checkpoint.keep_best
        if due(run.step, recipe.checkpoint.every) or wants_best or is_last or exit_code:
            require_finite_weights(run)
            saver.save(must=is_last or exit_code != 0)
        if exit_code or is_last:
            return exit_code
    return 0


def ends_here(run: Run, report: Report | None) -> bool:
    """Tell whoever wants to know of the evaluation just made; whether they want the run to end."""
    if report is None or run.evaluator is None:
        return False
    return report(run.step, run.figures)


def begin_step(run: Run) -> None:
    """Put every option that moves at its place for this step."""
    for ramp in run.ramps:
        ramp.apply(run.images)


def finish_step(run: Run) -> str:
    """What follows the turns of a step: the average, and what adapts to the game. A line for the log, or nothing."""
    batch = run.recipe.training.batch_size
    run.step += 1
    with run.generator.engine.whole():
        run.averaged.update(run.networks.generator, images=run.images, batch=batch)
    run.augment.adapt(run.average, run.step, batch)
    return run.schedule.adapt(run.step, run.average)


def move(run: Run, moving: Player, resting: Player) -> None:
    """All turns of one player in a step, while the other rests. Nothing here waits for the device."""
    with resting.frozen():
        for turn_number in range(moving.turns_per_step):
            begin_turn(run.recipe.performance, run.accelerator.device)
            turns = run.turns(moving, turn_number)
            for piece, turn in enumerate(turns):
                run.meters.add(moving.role, moving.learn(turn, piece))
                run.schedule.observe(turn)
                if moving.role == "discriminator" and (logits := turn.known("real_logits")) is not None:
                    run.augment.observe(logits.detach())
            is_last_turn = turn_number == moving.turns_per_step - 1
            if run.probe is not None and is_last_turn and is_looked_at(run.step + 1, run.recipe.training.log_every):
                run.meters.add("health", run.probe.look(moving, turns[-1]))
            run.meters.add(moving.role, moving.update(run.step, run.learning_rate_scale))


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
    if run.rollbacks >= training.rollback_limit or not checkpoints:
        doctor.diverged(error)
        after = f"after {counted(run.rollbacks, 'rollback')}"
        reason = after if checkpoints else "there is no checkpoint to go back to"
        raise DivergenceError(f"{error} ({reason})") from error
    rollbacks = run.rollbacks + 1
    restore(run, Checkpoint(checkpoints[-1]))
    run.rollbacks = rollbacks
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


class Stopwatch:
    """Images a second and the share of waiting for data, from one log line to the next."""

    def __init__(self, run: Run) -> None:
        self._run = run
        self._mark = (time.perf_counter(), run.images, run.loader.wait_seconds)

    def lap(self) -> dict[str, float]:
        before, images, waited = self._mark
        self._mark = (time.perf_counter(), self._run.images, self._run.loader.wait_seconds)
        seconds = max(self._mark[0] - before, 1e-9)
        return {
            "images_per_second": (self._mark[1] - images) / seconds,
            "data/wait_share": (self._mark[2] - waited) / seconds,
        }


def log_figures(run: Run, tracking: Tracking | None, display: ProgressDisplay, watch: Stopwatch) -> Mapping[str, float]:
    """Reduce the meters over all ranks, once; the only place where the host waits for the device.

    Returns:
        the line of the log.
    """
    if run.probe is not None and is_looked_at(run.step, run.recipe.training.log_every):
        with run.generator.engine.whole():
            run.meters.add("health", run.probe.distance_of_average(run.averaged, run.networks.generator))
    figures = only_finite(run.meters.reduce(run.accelerator))
    _require_finite(run, figures)
    speed = watch.lap()
    unreadable = {"data/unreadable": len(run.loader.unreadable())}
    line = {"images": run.images, **figures, **run.state_of_game(), **speed, **unreadable}
    if tracking is not None:
        tracking.figures(run.step, line)
    display.figures(run.step, run.images, figures)
    if speed["data/wait_share"] > TOLERABLE_WAIT:
        display.say_once(
            f"warning: {speed['data/wait_share']:.0%} of the time goes into waiting for data; {run.loader.remedy()}"
        )
    return {"step": run.step, **line}


def _require_finite(run: Run, figures: Mapping[str, float]) -> None:
    for name, value in figures.items():
        if not math.isfinite(value):
            player, _, term = name.partition("/")
            raise DivergenceError(
                f"step {run.step:,}: the {player}'s {term} is {value}; {what_is_kept(run.folder / 'checkpoints')}. "
                "Smaller learning rates (optimizer.generator.lr, optimizer.discriminator.lr) or a penalty such as r1 "
                "often help"
            )


def require_finite_weights(run: Run) -> None:
    """Before a checkpoint: an update can spoil weights whose loss was still finite, and no loss has shown it yet.

    Raises:
        DivergenceError: naming the player.
    """
    with run.whole():
        for name, network in run.saved_networks().items():
            norms = torch._foreach_norm(list(network.parameters()))  # pyright: ignore[reportPrivateImportUsage]
            if not bool(torch.stack([norm.float() for norm in norms]).isfinite().all()):
                player = "generator" if name == "averaged" else name
                raise DivergenceError(
                    f"step {run.step:,}: the {player}'s weights are no longer finite; "
                    f"{what_is_kept(run.folder / 'checkpoints')}. A smaller optimizer.{player}.lr often helps"
                )


def show_samples(run: Run, tracking: Tracking | None) -> None:
    """A grid of the averaged generator, always from the same latents."""
    with run.shown():
        if tracking is None:
            return
        samples = run.sample("samples", range(run.recipe.samples.num))
    reals = None
    if not run.dataset.spec.is_image:
        reals = real_samples(run.dataset, np.arange(min(len(run.dataset), 1000)))
    picture = picture_of(samples, reals)
    path = run.folder / "samples" / f"step-{run.step:08d}.png"
    path.parent.mkdir(parents=True, exist_ok=True)
    with replaced(path) as temporary:
        picture.save(temporary, format="PNG")
    tracking.picture(run.step, "samples", picture)
