"""Figures of a million log lines, gathered for curves while the lines are read."""

import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from itertools import chain
from operator import itemgetter
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ganforge.lookup import is_number
from ganforge.report.thin import Series

ROWS = 1024
"""Lines that are turned into arrays at once."""

MOST_STRETCHES = 4 * ROWS
"""Stretches kept of a figure, each with its lowest and its highest value, before they are thinned for the page."""

MOST_KINDS = 256
"""Different sets of figures that the lines of one file may have: losses, the doctor's figures, evaluations."""


class Curves:
    """Gathers the figures of log lines while they are read, in memory that does not grow with their number.

    A line is added in two microseconds; a figure keeps every point up to 4,000 lines, and beyond that the lowest and
    the highest of every stretch.
    """

    def __init__(self) -> None:
        self._kinds: dict[tuple[str, ...], _Kind] = {}

    def add(self, line: Mapping[str, Any]) -> None:
        names = tuple(line)
        kind = self._kinds.get(names)
        if kind is None:
            if len(self._kinds) >= MOST_KINDS:  # another writer's, whose lines have hardly a figure in common
                return
            kind = self._kinds[names] = _Kind(names)
        kind.add(line)

    def series(self) -> dict[str, Series]:
        """Series by name, in the order in which the figures first appeared; steps ascend."""
        points: dict[str, list[tuple[int, float]]] = {}
        for kind in self._kinds.values():
            for name, found in kind.points():
                points.setdefault(name, []).extend(found)
        made = {}
        for name, found in points.items():
            found.sort(key=lambda point: point[0])
            if found:
                made[name] = Series([step for step, _ in found], [value for _, value in found])
        return made


class _Kind:
    """Lines that have the same figures: arrays of `(stretches, figures)`, of equally many lines a stretch."""

    def __init__(self, names: tuple[str, ...]) -> None:
        self.names = tuple(name for name in names if name != "step")
        self._take = itemgetter("step", *self.names)
        self._rows: list[tuple[Any, ...]] = []
        self._length = 1
        self._stretches: list[Stretches] = []

    def add(self, line: Mapping[str, Any]) -> None:
        self._rows.append(self._take(line))
        if len(self._rows) >= ROWS:
            self._gather()

    def points(self) -> Iterator[tuple[str, list[tuple[int, float]]]]:
        """The points of each figure, steps ascending within a stretch."""
        if not self.names:
            return
        self._gather()
        for index, name in enumerate(self.names):
            found: list[tuple[int, float]] = []
            for stretches in self._stretches:
                found.extend(stretches.points(index))
            yield name, found

    def _gather(self) -> None:
        """Turn the rows so far into stretches; if there are too many of these, join neighbours."""
        if not self._rows or not self.names:
            self._rows.clear()
            return
        steps = np.array([row[0] for row in self._rows], dtype=np.int64)
        self._stretches.append(Stretches.of(steps, _numbers(self._rows)).joined(self._length))
        self._rows.clear()
        while sum(len(stretches) for stretches in self._stretches) > MOST_STRETCHES:
            self._length *= 2
            self._stretches = [Stretches.all_of(self._stretches).joined(2)]


@dataclass(frozen=True)
class Stretches:
    """The lowest and the highest value of every figure in stretches of lines, each `(stretches, figures)`.

    Values that are not finite do not count: a stretch without any has lowest inf and highest -inf.
    """

    lowest: NDArray[np.float64]
    highest: NDArray[np.float64]
    lowest_at: NDArray[np.int64]
    highest_at: NDArray[np.int64]

    @classmethod
    def of(cls, steps: NDArray[np.int64], values: NDArray[np.float64]) -> "Stretches":
        """Stretches of one line each, from steps `(lines,)` and values `(lines, figures)`."""
        is_known = np.isfinite(values)
        at = np.broadcast_to(steps[:, None], values.shape)
        return cls(np.where(is_known, values, np.inf), np.where(is_known, values, -np.inf), at, at)

    @classmethod
    def all_of(cls, parts: "Sequence[Stretches]") -> "Stretches":
        names = ("lowest", "highest", "lowest_at", "highest_at")
        return cls(*(np.concatenate([getattr(part, name) for part in parts]) for name in names))

    def __len__(self) -> int:
        return len(self.lowest)

    def joined(self, length: int) -> "Stretches":
        """Join that many neighbours into one; the last may have fewer."""
        if length == 1:
            return self
        begins = np.arange(0, len(self), length)
        padding = -len(self) % length
        low = np.pad(self.lowest, ((0, padding), (0, 0)), constant_values=np.inf)
        high = np.pad(self.highest, ((0, padding), (0, 0)), constant_values=-np.inf)
        shape = (len(begins), length, low.shape[1])
        rows = begins[:, None]
        lowest = low.reshape(shape).argmin(axis=1) + rows
        highest = high.reshape(shape).argmax(axis=1) + rows
        columns = np.arange(low.shape[1])[None]
        return Stretches(
            self.lowest[lowest, columns],
            self.highest[highest, columns],
            self.lowest_at[lowest, columns],
            self.highest_at[highest, columns],
        )

    def points(self, index: int) -> Iterator[tuple[int, float]]:
        """The points of one figure."""
        columns = (array[:, index].tolist() for array in (self.lowest_at, self.lowest, self.highest_at, self.highest))
        for low_at, low, high_at, high in zip(*columns, strict=True):
            if low <= high:
                yield from dict.fromkeys(sorted([(low_at, low), (high_at, high)], key=lambda point: point[0]))


def _numbers(rows: Sequence[tuple[Any, ...]]) -> NDArray[np.float64]:
    """Values of rows without their steps, NaN where a value is not finite."""
    if set(map(type, chain.from_iterable(rows))) <= {int, float}:
        with suppress(OverflowError):
            count = len(rows) * len(rows[0])
            return np.fromiter(chain.from_iterable(rows), np.float64, count).reshape(len(rows), -1)[:, 1:]
    clean = [[float(value) if is_number(value) else math.nan for value in row[1:]] for row in rows]
    return np.array(clean, dtype=np.float64)
