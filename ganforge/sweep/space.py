"""The search space of a sweep: one axis for each option, and how its values are chosen."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from ganforge.arguments import argument
from ganforge.errors import Problem, RecipeError

How = Literal["grid", "random", "tpe"]

NUMBER = r"[+-]?(?:\d[\d_]*)(?:\.\d+)?(?:[eE][+-]?\d+)?"
RANGE = re.compile(rf"({NUMBER})\.\.({NUMBER})(:log)?")


@dataclass(frozen=True)
class Axis:
    """One option of the recipe and the values it may take: `choices`, or a range from `low` to `high`.

    Args:
        path: dotted, as for `--set`.
        how: every value in turn (`grid`), or drawn at random (`random`), or guided by earlier trials (`tpe`).
        choices: values as they would be written behind `--set path=`.
        low: the smallest value of a range, included.
        high: the largest, included.
        is_log: values are spread evenly over orders of magnitude.
        is_integer: only whole numbers.
    """

    path: str
    how: How
    choices: tuple[str, ...] = ()
    low: float = 0.0
    high: float = 0.0
    is_log: bool = False
    is_integer: bool = False

    def examples(self) -> list[str]:
        """Assignments that the recipe has to accept: every choice, or both ends of the range."""
        ends = (int(end) if self.is_integer else end for end in (self.low, self.high))
        return [assignment(self.path, value) for value in self.choices or ends]


def parse_axis(how: How, text: str) -> Axis:
    """Read `path=a,b,c`, `path=low..high` or `path=low..high:log`.

    Args:
        how: command-line option that the axis was given with.
        text: value of that option.

    Raises:
        RecipeError: the text has none of these forms, or the range is empty.
    """
    path, equals, values = text.partition("=")
    path, values = path.strip(), values.strip()
    if not equals or not path or not values:
        raise _refused(how, text, "is not of the form path.to.key=values")
    found = RANGE.fullmatch(values)
    if found is None:
        choices = tuple(_split(values))
        if "" in choices or len(set(choices)) < len(choices):
            raise _refused(how, text, "has an empty or repeated value")
        return Axis(path, how, choices)
    if how == "grid":
        raise _refused(how, text, "a grid takes a list of values, as in path=1e-4,2e-4; a range is for random or tpe")
    is_integer = all(re.fullmatch(r"[+-]?[\d_]+", end) for end in found.groups()[:2])
    low, high = float(found[1]), float(found[2])
    is_log = found[3] is not None
    if low >= high or (is_log and low <= 0):
        raise _refused(how, text, "a range goes from a smaller to a larger number, above 0 with :log")
    return Axis(path, how, low=low, high=high, is_log=is_log, is_integer=is_integer)


def _refused(how: How, text: str, why: str) -> RecipeError:
    return RecipeError(argument(how), [Problem("", f"'{text}': {why}")])


def _split(values: str) -> list[str]:
    """Split at commas outside of brackets and quotes."""
    parts, depth, quote = [""], 0, ""
    for character in values:
        if quote:
            quote = "" if character == quote else quote
        elif character in "\"'":
            quote = character
        elif character in "[{":
            depth += 1
        elif character in "]}":
            depth -= 1
        elif character == "," and depth == 0:
            parts.append("")
            continue
        parts[-1] += character
    return [part.strip() for part in parts]


def grid_size(axes: Sequence[Axis]) -> int:
    """Combinations of all grid axes; 1 if there are none."""
    size = 1
    for axis in axes:
        if axis.how == "grid":
            size *= len(axis.choices)
    return size


def grid_choice(axes: Sequence[Axis], path: str, number: int) -> int:
    """The value of a grid axis in trial `number`: the last axis changes fastest, and combinations repeat in turn."""
    stride = 1
    for axis in reversed([axis for axis in axes if axis.how == "grid"]):
        if axis.path == path:
            return number // stride % len(axis.choices)
        stride *= len(axis.choices)
    raise KeyError(path)


def assignment(path: str, value: str | float) -> str:
    """One assignment, written as for `--set`."""
    return f"{path}={value}"


def assignments_of(values: Mapping[str, str | float]) -> list[str]:
    """All assignments of a trial, written as for `--set`."""
    return [assignment(path, value) for path, value in values.items()]
