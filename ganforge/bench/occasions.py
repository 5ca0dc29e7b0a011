"""What training does once in a while: the time that each costs it, and its share of a run at the recipe's cadence."""

import statistics
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch

from ganforge.bench.ceilings import now
from ganforge.doctor.history import APART
from ganforge.recipe import Recipe
from ganforge.tables import TrackingTable
from ganforge.telemetry.progress import ProgressDisplay
from ganforge.telemetry.tracking import Tracking
from ganforge.training.between_steps.doctor import Watch
from ganforge.training.between_steps.evaluate import evaluate
from ganforge.training.between_steps.log import Stopwatch, log_figures
from ganforge.training.between_steps.samples import show_samples
from ganforge.training.run import Run
from ganforge.training.saving.saver import Saver

REPEATS = 5
"""Times that each is done; what is reported is the median."""


@dataclass(frozen=True)
class Occasion:
    """Something that interrupts the steps.

    Args:
        name: what it is.
        milliseconds: time that training waits for it.
        every: steps between two of them; 0 if the recipe does it only at the end.
    """

    name: str
    milliseconds: float
    every: int

    def share(self, step_ms: float) -> float:
        """Its time over that of the steps between two of them."""
        return self.milliseconds / (self.every * step_ms) if self.every else 0.0


def measure_occasions(recipe: Recipe, step: Callable[[Run], None], *, evaluation: bool) -> list[Occasion]:
    """Do each of a recipe's occasions a few times in a run of its own, whose folder is temporary. One process.

    Args:
        recipe: resolved; its trackers are left out.
        step: takes one.
        evaluation: whether to time an evaluation, which may take minutes.
    """
    with tempfile.TemporaryDirectory(prefix="ganforge-bench-") as folder:
        run = Run.build(recipe.model_copy(update={"output": folder, "tracking": TrackingTable()}))
        run.folder.mkdir()
        display = ProgressDisplay(None, start=0, total=1)
        tracking, saver = Tracking(run.recipe, 0), Saver(run, lambda line: None)
        try:
            step(run)  # first kernels and caches
            return list(_Bench(run, tracking, display, saver, step).occasions(evaluation))
        finally:
            saver.close()
            tracking.close()
            run.loader.close()


@dataclass(frozen=True)
class _Bench:
    run: Run
    tracking: Tracking
    display: ProgressDisplay
    saver: Saver
    step: Callable[[Run], None]

    def occasions(self, evaluation: bool) -> list[Occasion]:
        run, recipe = self.run, self.run.recipe
        training = recipe.training
        found = [Occasion("a line of the log", self._log(), training.log_every)]
        if run.probe is not None:
            lines = -(-APART // training.log_every)
            found.append(Occasion("the doctor's look", self._look(), lines * training.log_every))
        parts = (run, self.tracking, self.display, self.saver)
        grid = self._median(lambda: show_samples(*parts), before=lambda: self.saver.write_later(lambda: None).result())
        found.append(Occasion(f"a grid of {recipe.samples.num} samples", grid, recipe.samples.every))
        if evaluation and run.evaluator is not None:
            evaluate(*parts)  # the first takes the reals' statistics too, once a run
            found.append(
                Occasion("an evaluation", self._median(lambda: evaluate(*parts), repeats=1), recipe.evaluation.every)
            )
        pause = self._median(self.saver.save, before=self.saver.wait)
        self.saver.wait()
        found.append(Occasion(f"a checkpoint of {self._state_mb():,.0f} MB", pause, recipe.checkpoint.every))
        return found

    def _log(self) -> float:
        watch = Stopwatch(self.run)
        return self._median(
            lambda: log_figures(self.run, self.tracking, self.display, watch), before=lambda: self.step(self.run)
        )

    def _look(self) -> float:
        """Both players' gradients, D's turn, the distance of the average, and the rules on the line."""
        run, doctor = self.run, Watch(self.run, self.tracking, self.display)
        probe = run.probe
        assert probe is not None
        total = 0.0
        for moving, resting in ((run.discriminator, run.generator), (run.generator, run.discriminator)):
            with resting.frozen():
                turn = run.game.turns(moving, run.step, 0)[-1]
                moving.learn(turn, 0)
                total += self._median(lambda moving=moving, turn=turn: probe.look(moving, turn))
                figures = probe.look(moving, turn)
                moving.network.zero_grad(set_to_none=True)
            run.meters.add("health", figures)
        total += self._median(lambda: probe.distance_of_average(run.averaged, run.networks.generator))
        line = {"step": run.step, **run.meters.reduce(run.accelerator)}
        return total + self._median(lambda: doctor.look(line))

    def _median(
        self, action: Callable[[], object], before: Callable[[], object] = lambda: None, repeats: int = REPEATS
    ) -> float:
        device: torch.device = self.run.accelerator.device
        times = []
        for _ in range(repeats):
            before()
            begin = now(device)
            action()
            times.append(now(device) - begin)
        return 1e3 * statistics.median(times)

    def _state_mb(self) -> float:
        folder = Path(self.run.files.checkpoints)
        newest = max((path for path in folder.iterdir() if path.is_dir()), key=lambda path: path.stat().st_mtime)
        return sum(path.stat().st_size for path in newest.rglob("*") if path.is_file()) / 1e6
