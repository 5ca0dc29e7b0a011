"""What the user sees while a run trains: a live bar on a terminal, a plain line a minute in a log file."""

import time
from collections.abc import Mapping

from rich.console import Console
from rich.progress import BarColumn, Progress, ProgressColumn, Task, TextColumn, TimeRemainingColumn
from rich.text import Text

from ganforge.wording import harmless

FIRST_WORD = 10.0
"""Seconds after which a log file hears of the speed, if no line with figures has come by then."""

BETWEEN_LINES = 60.0
"""Seconds from one line to the next in a log file."""


class _Rate(ProgressColumn):
    def render(self, task: Task) -> Text:
        speed = task.finished_speed or task.speed
        return Text(f"{speed:,.0f} images/s" if speed else "- images/s")


class ProgressDisplay:
    """Images, images/s, time left, both losses and D's accuracies.

    Where there is no terminal, as in the log of a SLURM job, the first figures are told at once, then the newest once a
    minute, and the last ones at the end, in lines without control characters.

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
        self._next_line = self._begin[0] + FIRST_WORD
        self._newest: tuple[int, int, str] | None = None
        self._has_told_figures = False
        self._bar: Progress | None = None
        if console is not None and is_drawn_on(console):
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
        elif time.monotonic() > self._next_line:
            self._tell(images)

    def figures(self, step: int, images: int, figures: Mapping[str, float]) -> None:
        """Newly reduced figures, at a log step."""
        text = _line(figures)
        if self._bar is not None:
            self._bar.update(self._task, figures=text)
            return
        self._newest = (step, images, text)
        if not self._has_told_figures or time.monotonic() > self._next_line:
            self._tell(images)

    def _tell(self, images: int) -> None:
        """One line: the newest figures, or how far the run is if those have been told."""
        self._next_line = time.monotonic() + BETWEEN_LINES
        if self._newest is None:
            self.say(self._speed(images))
            return
        step, images, text = self._newest
        self._newest, self._has_told_figures = None, True
        self.say(f"step {step:,}  {self._speed(images)}  {text}")

    def _speed(self, images: int) -> str:
        seconds = time.monotonic() - self._begin[0]
        rate = (images - self._begin[1]) / seconds if seconds > 0 else 0.0
        left = (self._total - images) / rate if rate > 0 else float("nan")
        return f"{images:,}/{self._total:,} images  {rate:,.0f} images/s  {left:,.0f} s left"

    def say(self, text: str) -> None:
        """A line above the bar."""
        if self._console is not None:
            plain = harmless(text)
            self._console.print(plain, highlight=False, soft_wrap=True, markup=False)  # "[[penalties]]" is not markup

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
        elif self._newest is not None:
            self._tell(self._newest[1])


def is_drawn_on(console: Console) -> bool:
    """Whether a display may be redrawn in place: FORCE_COLOR alone makes no terminal of a file."""
    return console.is_terminal and not console.is_dumb_terminal and console.file.isatty()


def _line(figures: Mapping[str, float]) -> str:
    parts = [
        ("loss D", "discriminator/loss", "{:.3f}"),
        ("G", "generator/loss", "{:.3f}"),
        ("D right on real", "discriminator/accuracy_real", "{:.0%}"),
        ("fake", "discriminator/accuracy_fake", "{:.0%}"),
    ]
    return "  ".join(f"{name} {form.format(figures[key])}" for name, key, form in parts if key in figures)
