"""How far a run has come."""

import time
from dataclasses import dataclass, field

from ganforge.metrics.best import Best


@dataclass
class Progress:
    """What changes from step to step and does not belong to the game.

    Args:
        step: finished alternations.
        images: the sum of the steps' batch sizes, which a resumed run may have changed.
        best: the best evaluation so far.
        rollbacks: how often the run went back to a checkpoint after it diverged.
        figures: figures of the last evaluation.
        figures_step: step of the last evaluation.
        evaluation_seconds: time that this process has spent on metrics since `began`.
        began: reading of the clock when this process had built the run.
    """

    step: int = 0
    images: int = 0
    best: Best | None = None
    rollbacks: int = 0
    figures: dict[str, float] = field(default_factory=dict)
    figures_step: int = -1
    evaluation_seconds: float = 0.0
    began: float = field(default_factory=time.perf_counter)

    def advance(self, batch: int) -> None:
        """Count a finished step of `batch` images."""
        self.step += 1
        self.images += batch

    def is_out_of_patience(self, patience: int) -> bool:
        """Whether `patience` evaluations in a row were no better than the best; never for a patience of 0."""
        return self.best is not None and 0 < patience <= self.best.stale
