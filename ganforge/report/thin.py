"""Curves with few enough points for a page, whatever the length of the run."""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

MOST = 800
"""Points of a curve: more than a screen has columns for."""


@dataclass(frozen=True)
class Series:
    """One figure over the steps."""

    steps: list[int]
    values: list[float]

    def thinned(self, most: int = MOST) -> "Series":
        """At most `most` points; of every stretch the lowest and the highest stay, so that no spike is lost."""
        count = len(self.steps)
        if count <= most:
            return self
        stretches = most // 2
        kept: set[int] = {0, count - 1}
        for number in range(stretches):
            stretch = range(count * number // stretches, count * (number + 1) // stretches)
            kept |= {min(stretch, key=self.values.__getitem__), max(stretch, key=self.values.__getitem__)}
        order = sorted(kept)
        return Series([self.steps[index] for index in order], [self.values[index] for index in order])


def series_of(lines: Iterable[Mapping[str, Any]]) -> dict[str, Series]:
    """Every finite figure of some log lines, by name."""
    found: dict[str, Series] = {}
    for line in lines:
        for name, value in line.items():
            is_number = isinstance(value, int | float) and not isinstance(value, bool)
            if name != "step" and is_number and math.isfinite(value):
                series = found.setdefault(name, Series([], []))
                series.steps.append(line["step"])
                series.values.append(value)
    return found
