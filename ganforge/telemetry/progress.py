"""What the user sees while a run trains: a live bar on a terminal, plain lines in a log file."""

import time
from collections.abc import Mapping

from rich.console import Console
from rich.progress import BarColumn, Progress, ProgressColumn, Task, TextColumn, TimeRemainingColumn
from rich.text import Text

FIRST_WORD = 10.0
"""Seconds after which a log file hears of the speed, if no line with figures has come by then."""


class _Rate(ProgressColumn):
    def render(self, task: Task) -> Text:
        speed = task.finished_speed or task.speed
        return Text(f"{speed:,.0f} images/s" if speed else "- images/s")


class ProgressDisplay:
    """Images, images/s, time left, both losses and D's accuracies.

    Args:
        console: where to; None on ranks that say nothing.
        start: images done before this process.
        total: images at the end of the run.
    """

    def __init__(self, console: Console | None, *, start: int, total: int) -> None:
        self._console = console
        self._total = total
        self._begin = (time.monotonic(), start)
        self._warned_of: set[str] = set()
        self._has_told_speed = False
        self._bar: Progress | None = None
        if console is not None and console.is_terminal:
            self._bar = Progress(
                TextColumn("{task.completed:,.0f}/{task.total:,.0f} images"),
                BarColumn(bar_width=20),
                _Rate(),
                TimeRemainingColumn(compact=True),
                TextColumn("{task.fields[figures]}"),
                console=console,
                speed_estimate_period=30,
            )
            self._task = self._bar.add_task("train", total=total, completed=start, figures="")
            self._bar.start()

    def advance(self, images: int) -> None:
        if self._bar is not None:
            self._bar.update(self._task, completed=images)
        elif not self._has_told_speed and time.monotonic() - self._begin[0] > FIRST_WORD:
            self._has_told_speed = True
            self.say(self._speed(images))

    def figures(self, step: int, images: int, figures: Mapping[str, float]) -> None:
        """Newly reduced figures, at a log step."""
        text = _line(figures)
        if self._bar is not None:
            self._bar.update(self._task, figures=text)
        else:
            self._has_told_speed = True
            self.say(f"step {step:,}  {self._speed(images)}  {text}")

    def _speed(self, images: int) -> str:
        seconds = time.monotonic() - self._begin[0]
        rate = (images - self._begin[1]) / seconds if seconds > 0 else 0.0
        left = (self._total - images) / rate if rate > 0 else float("nan")
        return f"{images:,}/{self._total:,} images  {rate:,.0f} images/s  {left:,.0f} s left"

    def say(self, text: str) -> None:
        """A line above the bar."""
        if self._console is not None:
            self._console.print(text, highlight=False, soft_wrap=True, markup=False)  # "[[penalties]]" is not markup

    def say_once(self, subject: str, text: str) -> None:
        """A warning about something that is likely to recur; only the first about a subject is shown."""
        if subject not in self._warned_of:
            self._warned_of.add(subject)
            self.say(text)

    def cannot_write(self, subject: str, problem: str) -> None:
        """Say once that something cannot be written that training can do without, or can write later."""
        self.say_once(subject, f"warning: {subject} cannot be written: {problem}. Training goes on")

    def close(self) -> None:
        if self._bar is not None:
            self._bar.stop()


def _line(figures: Mapping[str, float]) -> str:
    parts = [
        ("loss D", "discriminator/loss", "{:.3f}"),
        ("G", "generator/loss", "{:.3f}"),
        ("D right on real", "discriminator/accuracy_real", "{:.0%}"),
        ("fake", "discriminator/accuracy_fake", "{:.0%}"),
    ]
    return "  ".join(f"{name} {form.format(figures[key])}" for name, key, form in parts if key in figures)
