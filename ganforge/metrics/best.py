"""Which of two evaluations is better, and the best so far."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass
class Best:
    """The best evaluation so far.

    Args:
        name: name of the figure that decides.
        value: value of that figure.
        step: step of that evaluation.
        figures: all finite ones of that evaluation; where the deciding one is tied, the next decides.
        stale: evaluations since then, none of them better.
    """

    name: str
    value: float
    step: int
    figures: dict[str, float] = field(default_factory=dict)
    stale: int = 0


def goodness(figures: Mapping[str, float], better: Mapping[str, str], first: str) -> list[float]:
    """Key that orders evaluations, larger being better: the deciding figure, and the others in turn to break ties.

    A count such as the covered modes soon reaches its maximum, while the share of good points keeps rising.

    Args:
        figures: by name; one that is missing or not a number is worse than any.
        better: every figure's name, and whether "lower" or "higher" is better.
        first: the figure that decides.
    """
    values = [
        (figures.get(name, math.nan), way) for name, way in sorted(better.items(), key=lambda item: item[0] != first)
    ]
    signed = [value if way == "higher" else -value for value, way in values]
    return [value if math.isfinite(value) else -math.inf for value in signed]
