"""What a log file hears of a run."""

import io

import pytest
from rich.console import Console

from ganforge.training.telemetry import progress
from ganforge.training.telemetry.progress import ProgressDisplay


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The time, to be moved by the test."""
    now = [100.0]
    monkeypatch.setattr(progress.time, "monotonic", lambda: now[0])
    return now


def test_a_slow_run_tells_its_speed_once_before_its_first_figures(clock: list[float]) -> None:
    file = io.StringIO()
    display = ProgressDisplay(Console(file=file), start=0, total=1_000)
    for images in range(10, 60, 10):
        clock[0] += 5
        display.advance(images)
    assert file.getvalue() == "30/1,000 images  2 images/s  485 s left\n"


def test_a_fast_run_tells_its_figures_only(clock: list[float]) -> None:
    file = io.StringIO()
    display = ProgressDisplay(Console(file=file), start=0, total=1_000)
    clock[0] += 5
    display.figures(1, 10, {"generator/loss": 0.5})
    clock[0] += 50
    display.advance(20)
    assert file.getvalue() == "step 1  10/1,000 images  2 images/s  495 s left  G 0.500\n"
