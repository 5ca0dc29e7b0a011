"""What a log file hears of a run."""

import io

import pytest
from rich.console import Console

from ganforge.telemetry import progress
from ganforge.telemetry.progress import ProgressDisplay


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


def test_a_log_file_hears_once_a_minute_and_of_the_last_figures(clock: list[float]) -> None:
    file = io.StringIO()
    display = ProgressDisplay(Console(file=file), start=0, total=10_000)
    for step in range(1, 200):  # a log line every second
        clock[0] += 1
        display.advance(10 * step)
        display.figures(step, 10 * step, {"generator/loss": step / 100})
    display.close()
    told = [line.split()[1] for line in file.getvalue().splitlines()]
    assert told == ["1", "61", "122", "183", "199"]
    assert file.getvalue().endswith("G 1.990\n")


def test_between_rare_figures_a_log_file_hears_how_far_the_run_is(clock: list[float]) -> None:
    file = io.StringIO()
    display = ProgressDisplay(Console(file=file), start=0, total=10_000)
    display.figures(1, 10, {"generator/loss": 0.5})
    for step in range(2, 150):
        clock[0] += 1
        display.advance(10 * step)
    display.close()
    assert [line.split("  ")[0] for line in file.getvalue().splitlines()] == [
        "step 1", "620/10,000 images", "1,230/10,000 images",
    ]  # fmt: skip


def test_a_log_file_has_no_control_characters(clock: list[float], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")  # as CI services set it: still no place to draw a bar
    file = io.StringIO()
    display = ProgressDisplay(Console(file=file), start=0, total=100)
    display.figures(1, 10, {"generator/loss": 0.5, "discriminator/accuracy_real": 0.5})
    display.say("[bold]a\x1b[31m name\x07 \r of a [[file]]\n second line\ttab")
    display.cannot_write("x", "y")
    display.advance(20)
    display.close()
    assert not [character for character in file.getvalue() if ord(character) < 32 and character not in "\n\t"]
    assert "[bold]a?[31m name? ? of a [[file]]" in file.getvalue()
