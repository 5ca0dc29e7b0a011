"""The last log lines of a run, and the questions that rules ask of them."""

import re
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache

APART = 10
"""Steps of which one log line at most is looked at, so that a run that logs every step does not pay every step."""

MOST = 128
"""Log lines that are remembered: enough for every rule at that distance."""

CLASSES = "health/class_"
"""Prefix of the figures that give the share of fakes that look like each class."""

Line = Mapping[str, float]
Evidence = dict[str, float]
"""Figures that show an illness, by their name in `metrics.jsonl` or a plain word."""


def is_looked_at(step: int, log_every: int) -> bool:
    """Whether a step's log line is the first of its ten steps."""
    return step % log_every == 0 and step // APART != (step - log_every) // APART


@dataclass
class History:
    """The newest log lines, oldest first, and the largest value that each gradient ever kept for three lines."""

    lines: deque[Line] = field(default_factory=lambda: deque(maxlen=MOST))
    largest: dict[str, float] = field(default_factory=dict)

    def add(self, line: Line) -> None:
        """A log line: at least `step`, and figures by name."""
        self.lines.append(line)
        for name in line:
            if name.startswith("health/gradient_") and (recent := self.last(name, lines=3, steps=0)) is not None:
                self.largest[name] = max(min(recent.values(name)), self.largest.get(name, 0.0))

    def last(self, *names: str, lines: int, steps: int) -> "Window | None":
        """The newest lines that have all of these figures: at least `lines` of them, spanning at least `steps`.

        None while the run has fewer; no finding rests on a single line.
        """
        found: list[Line] = []
        for line in reversed(self.lines):
            if all(name in line for name in names):
                found.append(line)
                if len(found) >= lines and found[0]["step"] - line["step"] >= steps:
                    return Window(found[::-1])
        return None


class Window:
    """Some lines of a history, oldest first."""

    def __init__(self, lines: Sequence[Line]) -> None:
        self.lines = lines

    def values(self, name: str) -> list[float]:
        return [line[name] for line in self.lines]

    def mean(self, name: str) -> float:
        return sum(self.values(name)) / len(self.lines)

    def median(self, name: str) -> float:
        values = sorted(self.values(name))
        return values[len(values) // 2]

    def always(self, name: str, *, above: float = float("-inf"), below: float = float("inf")) -> bool:
        """Whether the figure was strictly within the bounds in every line."""
        return all(above < value < below for value in self.values(name))

    def classes(self) -> list[str]:
        """Names of the figures that say how many fakes look like each class, in the order of the classes."""
        numbers = [class_number(name) for name in self.lines[-1]]
        return [f"{CLASSES}{number}" for number in sorted(number for number in numbers if number is not None)]


@lru_cache(maxsize=4096)
def class_number(name: str) -> int | None:
    """The class that a figure counts, None for another figure."""
    digits = re.fullmatch(r"health/class_(0|[1-9][0-9]{0,8})", name)
    return None if digits is None else int(digits[1])


def known(evidence: Evidence) -> Evidence:
    """Evidence without the figures that a run does not have, which are NaN."""
    return {name: value for name, value in evidence.items() if value == value}
