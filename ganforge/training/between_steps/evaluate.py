"""Metrics in training: which the recipe asks for, and what becomes of their figures."""

import math
import time
from collections.abc import Mapping

from ganforge.game.game import Game
from ganforge.metrics.best import Best, goodness
from ganforge.metrics.generated import Generated
from ganforge.metrics.protocol import record
from ganforge.saved.generator_file import flat_state, save_generator
from ganforge.telemetry.progress import ProgressDisplay
from ganforge.telemetry.tracking import Tracking
from ganforge.training.run import Run
from ganforge.training.saving.saver import Saver
from ganforge.wording import counted


def evaluate(run: Run, tracking: Tracking | None, display: ProgressDisplay, saver: Saver) -> bool:
    """Metrics of the averaged generator; keeps it if it is the best so far. All ranks together, with the same outcome.

    Returns:
        whether it is the best so far.
    """
    if run.evaluator is None:
        return False
    progress = run.progress
    with run.statistics.for_evaluation():
        figures = run.evaluator(generated(run.game))
        if run.back_evaluator is not None:
            back = run.back_evaluator(lambda indices: run.game.sample_back("evaluation", indices))
            figures["seconds"] += back.pop("seconds")
            figures |= {f"back/{name}": value for name, value in back.items()}
        seconds = figures.pop("seconds")
        progress.evaluation_seconds += seconds
        progress.figures, progress.figures_step = figures, run.step
        is_best = _remember(run, figures)
        if is_best and tracking is not None:
            save_best(run, display, saver)
    if tracking is not None:
        cost = {
            "seconds": seconds,
            "share": progress.evaluation_seconds / (time.perf_counter() - progress.began),
        }
        finite = {name: value for name, value in {**figures, **cost}.items() if math.isfinite(value)}
        tracking.figures(run.step, {f"evaluation/{name}": value for name, value in finite.items()})
        protocol = run.evaluator.protocol.to_dict()
        tracking.evaluation(run.step, {"images": run.images, **record(figures, protocol), **cost})
        tracking.summary({f"evaluation/{name}": value for name, value in figures.items()})
        tracking.summary({"evaluation/protocol": protocol})
        if is_best and progress.best is not None:
            tracking.summary({f"best/{progress.best.name}": progress.best.value, "best/step": run.step})
    shown = "  ".join(f"{name} {value:.4g}" for name, value in figures.items())
    display.say(f"step {run.step:,}  {shown}{'  (best so far)' if is_best else ''}")
    for line in run.evaluator.warnings():
        display.say(f"warning: {line}")
    best = progress.best
    if run.is_out_of_patience and best is not None:
        display.say(
            f"no better {best.name} in {counted(best.stale, 'evaluation')} since step {best.step:,}: "
            "the run ends here, as evaluation.patience says"
        )
    return is_best


def generated(game: Game) -> Generated:
    """The samples that metrics look at, and their labels."""
    return Generated(
        lambda indices: game.sample("evaluation", indices), lambda indices: game.inputs("evaluation", 0, indices)
    )


def _remember(run: Run, figures: Mapping[str, float]) -> bool:
    """Whether these are the best figures so far; counts how many evaluations were not."""
    assert run.evaluator is not None
    progress = run.progress
    better = run.evaluator.better()
    name = run.recipe.evaluation.best or next(iter(better))
    if not math.isfinite(figures[name]):
        is_best = False
    elif progress.best is None or progress.best.name != name:  # another figure decides than before
        is_best = True
    else:
        before = {**progress.best.figures, name: progress.best.value}
        is_best = goodness(figures, better, name) > goodness(before, better, name)
    if is_best:
        finite = {figure: value for figure, value in figures.items() if math.isfinite(value)}
        progress.best = Best(name, figures[name], run.step, finite)
    elif progress.best is not None:
        progress.best.stale += 1
    return is_best


def save_best(run: Run, display: ProgressDisplay, saver: Saver) -> None:
    """Write the averaged generator as the best so far. Main process only."""
    path, state = run.files.generator("best"), flat_state(run.averaged.network)
    try:
        saver.require_folder()
        save_generator(path, state, run.generator_config())
    except OSError as error:
        display.cannot_write(path.name, f"{error.strerror or error}; it stays as it was")
