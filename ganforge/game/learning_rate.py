"""The course of a learning rate: a pure function of the step, so a resumed run needs no state of it."""

import math
from collections.abc import Callable
from typing import Literal

LearningRateFactor = Callable[[int], float]
"""Factor of the learning rate in step 0, 1, ..."""


def constant(step: int) -> float:
    return 1.0


def learning_rate_factor(
    warmup: int, decay: Literal["none", "linear", "cosine"], steps: int, constant: float = 0.0
) -> LearningRateFactor:
    """A linear rise over `warmup` steps, then constant, or falling to 0 at the end of `steps`.

    Args:
        warmup: steps of the rise.
        decay: how it falls.
        steps: of the whole run.
        constant: share of the steps after the warm-up before it begins to fall.
    """
    first = warmup + round(constant * (steps - warmup))

    def factor(step: int) -> float:
        if step < warmup:
            return (step + 1) / warmup
        done = max(0.0, min(1.0, (step - first) / max(steps - first, 1)))
        if decay == "linear":
            return 1.0 - done
        if decay == "cosine":
            return 0.5 * (1.0 + math.cos(math.pi * done))
        return 1.0

    return factor
