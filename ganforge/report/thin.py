"""Curves with few enough points for a page, whatever the length of the run."""

from dataclasses import dataclass

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
