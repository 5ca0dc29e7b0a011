"""Curves of many lines, gathered while they are read."""

import math
import random

import pytest

from ganforge.report.curves import MOST_STRETCHES, Curves


def gathered(lines) -> dict:
    curves = Curves()
    for line in lines:
        curves.add(line)
    return curves.series()


def test_a_short_log_keeps_every_point() -> None:
    lines = [{"step": step, "a": step * 0.5, "b": -step} for step in range(3000)]
    series = gathered(lines)
    assert list(series) == ["a", "b"]
    assert series["a"].steps == list(range(3000))
    assert series["a"].values == [step * 0.5 for step in range(3000)]


def test_a_long_log_keeps_its_spikes_in_few_points() -> None:
    chance = random.Random(0)
    values = [chance.random() for _ in range(100_000)]
    values[54_321], values[777], values[99_998] = 1e6, -1e6, 50.0
    series = gathered({"step": step, "a": value} for step, value in enumerate(values))["a"]
    assert len(series.steps) <= 2 * MOST_STRETCHES + 2
    points = dict(zip(series.steps, series.values, strict=True))
    assert (points[54_321], points[777], points[99_998]) == (1e6, -1e6, 50.0)
    assert all(values[step] == value for step, value in points.items()), "every point is one of the log"
    assert series.steps == sorted(series.steps)


def test_figures_of_different_lines_come_together_by_step() -> None:
    lines = [{"step": step, "a": 1.0} if step % 2 else {"step": step, "b": 2.0, "a": 3.0} for step in range(10)]
    series = gathered(lines)
    assert series["a"].values == [3.0, 1.0] * 5
    assert series["b"].steps == [0, 2, 4, 6, 8]


@pytest.mark.parametrize("odd", [math.nan, math.inf, -math.inf, "1.5", True, None, [1], {}, 10**400])
def test_what_is_no_finite_number_is_no_point(odd: object) -> None:
    series = gathered([{"step": 1, "a": 1.0, "b": odd}, {"step": 2, "a": odd, "b": 2.0}])
    assert (series["a"].steps, series["a"].values) == ([1], [1.0])
    assert (series["b"].steps, series["b"].values) == ([2], [2.0])


def test_lines_of_a_thousand_kinds_do_not_fill_the_memory() -> None:
    series = gathered({"step": step, f"a{step}": 1.0} for step in range(10_000))
    assert len(series) <= 256
    assert gathered([{"step": 1}, {"step": 2}]) == {}
