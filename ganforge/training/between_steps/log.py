"""A line of the log: the figures of the steps since the last one."""

import math
import time
from collections.abc import Mapping

from ganforge.doctor.history import is_looked_at
from ganforge.errors import DivergenceError
from ganforge.saved.checkpoint import what_is_kept
from ganforge.training.between_steps.doctor import only_finite
from ganforge.training.run import Run
from ganforge.training.telemetry.progress import ProgressDisplay
from ganforge.training.telemetry.tracking import Tracking


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
        with run.generator.engine.gathered():
            run.meters.add("health", run.probe.distance_of_average(run.averaged, run.networks.generator))
    figures = only_finite(run.meters.reduce(run.accelerator))
    _require_finite(run, figures)
    speed = watch.lap()
    unreadable = {"data/unreadable": len(run.loader.unreadable())}
    line = {"images": run.images, **figures, **run.adaptive_figures(), **speed, **unreadable}
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


TOLERABLE_WAIT = 0.1
"""Share of the time that a step may wait for data before the log says what helps."""
