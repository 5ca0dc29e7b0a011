"""A run as it is now, in lines for a terminal: read from its folder, which another machine may write."""

import time
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

from ganforge.cluster.status import RunStatus, find_runs, statuses
from ganforge.errors import GanforgeError
from ganforge.jsonlines import last_of
from ganforge.lookup import is_number, whole
from ganforge.run_files import RunFolder
from ganforge.wording import ago, counted, harmless

ENDED = ("finished", "stopped", "stopped by the doctor", "diverged")
"""States after which nothing more comes unless somebody resumes the run."""

BARS = "▁▂▃▄▅▆▇█"
SPARKS = 40
"""Columns of a curve."""

CURVES = {
    "discriminator/loss": "loss D",
    "generator/loss": "loss G",
    "discriminator/accuracy_real": "D right on real",
    "discriminator/accuracy_fake": "D right on fake",
    "images_per_second": "images/s",
}
"""Figures of training that are shown, and what they are called."""

EVALUATION = "evaluation/"
_COSTS = ("evaluation/seconds", "evaluation/share")


@dataclass(frozen=True)
class View:
    """A run at one moment.

    Args:
        status: what `ganforge status` says.
        curves: newest values of each figure, the last one last, by what it is called.
        seconds_left: at the speed of now; None if that is not known.
        grid: the newest sample grid, and its age in seconds.
    """

    status: RunStatus
    curves: Mapping[str, list[float]]
    seconds_left: float | None
    grid: tuple[Path, float] | None

    @property
    def has_ended(self) -> bool:
        return self.status.state in ENDED


def only_run(path: Path) -> Path:
    """The run folder that is meant by a path: itself, or the only one below it.

    Raises:
        GanforgeError: there is none, or there are several.
    """
    found = find_runs([path])
    if len(found) > 1:
        raise GanforgeError(f"{path}: holds {counted(len(found), 'run')}; name one, such as {found[0]}")
    return found[0]


def look(folder: Path) -> View:
    """Read a run folder, in whatever state it is."""
    files = RunFolder(folder)
    (status,) = statuses([folder])
    try:
        lines = last_of(files.metrics)
    except GanforgeError:
        lines = []
    return View(status, _curves(lines), _seconds_left(files, status), _newest_grid(files))


def lines_of(view: View) -> list[str]:
    """The view in lines of plain text."""
    status = view.status
    lines = [_headline(view)]
    for name, values in view.curves.items():
        lines.append(f"{name:<16} {values[-1]:>10.4g}  {sparkline(values)}")
    if status.best is not None:
        lines.append(f"{'best':<16} {status.best['name']} {status.best['value']:.4g} at step {status.best['step']:,}")
    if status.finding is not None:
        word = "ended at" if status.finding.get("event") == "ends" else "since"
        name, message = status.finding.get("name", "?"), status.finding.get("message", "")
        lines.append(f"{'doctor':<16} {name} {word} step {status.finding['step']:,}{message and ': '}{message}")
    if view.grid is not None:
        path, age = view.grid
        lines.append(f"{'samples':<16} {path}, {ago(age)} ago")
    if status.checkpoint_step is not None and status.checkpoint_age_seconds is not None:
        lines.append(f"{'saved':<16} step {status.checkpoint_step:,}, {ago(status.checkpoint_age_seconds)} ago")
    if status.silent_seconds is not None:
        lines.append(f"{'last sign':<16} {ago(status.silent_seconds)} ago{_remedy(status)}")
    return [harmless(line) for line in lines]


def line_of(view: View) -> str:
    """The view in one line, for a log file."""
    figures = [f"{name} {values[-1]:.4g}" for name, values in view.curves.items()]
    return harmless("  ".join([_headline(view), *figures]))


def sparkline(values: list[float]) -> str:
    """A curve of bars: the mean of each stretch, from the lowest to the highest of them."""
    if len(values) > SPARKS:
        edges = [len(values) * number // SPARKS for number in range(SPARKS + 1)]
        values = [sum(values[low:high]) / (high - low) for low, high in pairwise(edges)]
    low, high = min(values), max(values)
    if high == low:
        return BARS[0] * len(values)
    return "".join(BARS[min(len(BARS) - 1, int((value - low) / (high - low) * len(BARS)))] for value in values)


def _headline(view: View) -> str:
    status = view.status
    of = f" of {status.steps:,} ({status.step * 100 // status.steps}%)" if status.steps else ""
    left = f", about {ago(view.seconds_left)} left" if view.seconds_left and not view.has_ended else ""
    job = f", job {status.job} {status.job_state or ''}".rstrip() if status.job else ""
    return f"{status.folder}  step {status.step:,}{of}  {status.state or 'not begun'}{left}{job}"


def _remedy(status: RunStatus) -> str:
    if status.state != "silent":
        return ""
    return "; it was killed, or is stuck: if no process is left, the same command resumes it"


def _curves(lines: list[dict[str, Any]]) -> dict[str, list[float]]:
    """Values of the figures that are shown, metrics after those of training."""
    found: dict[str, list[float]] = {}
    metrics = sorted({name for line in lines for name in line if name.startswith(EVALUATION) and name not in _COSTS})
    called = {**CURVES, **{name: name.removeprefix(EVALUATION) for name in metrics}}
    for key, name in called.items():
        values = [float(line[key]) for line in lines if is_number(line.get(key))]
        if values:
            found[name] = values
    return found


def _seconds_left(files: RunFolder, status: RunStatus) -> float | None:
    try:
        batch = whole(files.read_recipe(), "training", "batch_size")
    except GanforgeError:
        return None
    if batch is None or status.steps is None or not status.images_per_second:
        return None
    return max(0, status.steps - status.step) * batch / status.images_per_second


def _newest_grid(files: RunFolder) -> tuple[Path, float] | None:
    grids = files.sample_grids()
    if not grids:
        return None
    newest = grids[max(grids)]
    try:
        return newest, max(0.0, time.time() - newest.stat().st_mtime)
    except OSError:
        return None
