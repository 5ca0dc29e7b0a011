"""Which of two evaluations is better, and the best so far."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass
class Best:
    """The best evaluation so far.

    Args:
        name: of the figure that decides.
        value: of it.
        step: when that was.
        figures: all finite ones of that evaluation; where the first is the same as before, the next decides.
        stale: evaluations since then, none of them better.
    """

    name: str
    value: float
    step: int
    figures: dict[str, float] = field(default_factory=dict)
    stale: int = 0


def goodness(figures: Mapping[str, float], better: Mapping[str, str], first: str) -> list[float]:
    """What to compare evaluations by, larger being better: one figure, and where it is the same all others in turn.

    A count such as the covered modes is soon as high as it can be, and the share of good points goes on rising.

    Args:
        figures: by name; one that is missing or no number is worse than any.
        better: every figure's name, and whether "lower" or "higher" is better.
        first: the figure that decides.
    """
    values = [
        (figures.get(name, math.nan), way) for name, way in sorted(better.items(), key=lambda item: item[0] != first)
    ]
    signed = [value if way == "higher" else -value for value, way in values]
    return [value if math.isfinite(value) else -math.inf for value in signed]
