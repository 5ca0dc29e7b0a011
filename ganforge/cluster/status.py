"""The state of runs, read from their folders; reads no weights and imports no torch."""

import os
import re
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from ganforge.cluster.queue import UNKNOWN, job_states
from ganforge.doctor.illnesses import DIVERGENCE
from ganforge.errors import GanforgeError
from ganforge.jsonlines import last_of
from ganforge.lookup import number, table_at, text, value_at, whole
from ganforge.run_files import RunFolder
from ganforge.wording import printable

LEVELS = 2
"""Levels of folders that are searched below a given one: `runs` holds runs, and sweeps that hold runs."""

QUIET_SECONDS = 120.0
"""Seconds for which a run may write nothing, since evaluations and checkpoints take longer than a log interval."""

State = Literal["running", "queued", "finished", "stopped", "stopped by the doctor", "diverged", "silent"]


@dataclass(frozen=True)
class RunStatus:
    """One run folder in figures; None for what is not known.

    Args:
        folder: path.
        step: the last step that was logged or saved.
        steps: steps of the whole run.
        images_per_second: speed in the last line of the log.
        checkpoint_step: step of the newest checkpoint.
        checkpoint_age_seconds: time since it was written.
        best: the best figure so far: its name, value and step.
        finding: the doctor's last finding: step, name and message.
        job: number of the newest SLURM job.
        job_state: what SLURM says of it.
        state: `running` or `queued` as SLURM says, or because its log grows; `finished` at the recipe's last step or by
            `evaluation.patience`; `stopped` with everything saved; `silent` if its last figures are not saved and no
            more come: killed, or stuck.
        silent_seconds: time since it last wrote figures or a checkpoint.
    """

    folder: str
    step: int = 0
    steps: int | None = None
    images_per_second: float | None = None
    checkpoint_step: int | None = None
    checkpoint_age_seconds: float | None = None
    best: dict[str, Any] | None = None
    finding: dict[str, Any] | None = None
    job: str | None = None
    job_state: str | None = None
    state: State | None = None
    silent_seconds: float | None = None

    def to_dict(self) -> dict[str, Any]:
        """For JSON."""
        return asdict(self)


def find_runs(paths: Sequence[Path]) -> list[Path]:
    """Run folders among the paths, and below them as deep as sweeps have theirs.

    Raises:
        GanforgeError: a path is neither a run folder nor holds any.
    """
    found: list[Path] = []
    for path in paths:
        runs = list(_runs_below(path, LEVELS))
        if not runs:
            raise GanforgeError(
                f"{path}: is not a run folder and holds none; give the folders of runs, or of their output"
            )
        found.extend(runs)
    return list(dict.fromkeys(found))


def _runs_below(folder: Path, levels: int) -> Iterator[Path]:
    if _is_run(folder):
        yield folder
    elif levels and os.access(folder, os.R_OK | os.X_OK) and folder.is_dir():
        for below in sorted(folder.iterdir()):
            yield from _runs_below(below, levels - 1)


def _is_run(folder: Path) -> bool:
    files = RunFolder(folder)
    return files.recipe.is_file() or files.slurm_jobs.is_file()


def statuses(folders: Sequence[Path]) -> list[RunStatus]:
    """The status of each folder; SLURM is asked once for each that has a job."""
    jobs = {folder: _last_job(RunFolder(folder).slurm_jobs) for folder in folders}
    states = job_states(job for job in jobs.values() if job)
    return [_status(folder, jobs[folder], states) for folder in folders]


def _status(folder: Path, job: str | None, states: dict[str, str]) -> RunStatus:
    files = RunFolder(folder)
    lines = _last_lines(files.metrics)
    findings = _last_lines(files.health)
    recipe = _recipe(files)
    checkpoint, age = _newest_checkpoint(files)
    speeds = [speed for line in lines if (speed := number(line, "images_per_second")) is not None]
    saved = whole(checkpoint, "step")
    step = max([*(line["step"] for line in lines), saved or 0])
    job_state = states.get(job) if job else None
    silent = _seconds_since(files.recipe, files.metrics, files.evaluations)
    silent = min((seconds for seconds in (silent, age) if seconds is not None), default=None)
    state = _state_by_queue(job_state) or _state_by_end(recipe, step, checkpoint, findings)
    if state is None and silent is not None:
        is_over = job_state not in (None, UNKNOWN)
        state = _state_by_silence(lines, silent, is_over, is_saved=saved is not None and saved >= step)
    return RunStatus(
        folder=printable(str(folder)),
        step=step,
        steps=whole(recipe, "training", "steps"),
        images_per_second=speeds[-1] if speeds else None,
        checkpoint_step=saved,
        checkpoint_age_seconds=age,
        best=_best(checkpoint),
        finding=_finding(findings),
        job=job,
        job_state=job_state,
        state=state,
        silent_seconds=silent,
    )


def _best(checkpoint: Mapping[str, Any]) -> dict[str, Any] | None:
    best = table_at(checkpoint, "best")
    found = {"name": text(best, "name"), "value": number(best, "value"), "step": whole(best, "step")}
    return None if None in found.values() else found


def _finding(findings: list[dict[str, Any]]) -> dict[str, Any] | None:
    if not findings:
        return None
    last = findings[-1]
    words = {name: word for name in ("name", "event", "message") if (word := text(last, name)) is not None}
    return {"step": last["step"], **words}


def _state_by_queue(job_state: str | None) -> State | None:
    """What SLURM knows better than the folder: a job that waits, or one that has begun and not yet written."""
    word = (job_state or "").partition(" ")[0]
    return "queued" if word == "PENDING" else "running" if word == "RUNNING" else None


def _state_by_end(
    recipe: Mapping[str, Any], step: int, checkpoint: Mapping[str, Any], findings: list[dict[str, Any]]
) -> State | None:
    """How the run has ended, if its files say that it has."""
    saved, steps = whole(checkpoint, "step"), whole(recipe, "training", "steps")
    patience = whole(recipe, "evaluation", "patience") or 0
    stale = whole(checkpoint, "best", "stale") or 0
    if saved is not None and saved >= step and ((steps and saved >= steps) or (patience and stale >= patience)):
        return "finished"
    stops = value_at(recipe, "health", "stop_on")
    last = findings[-1] if findings else {}
    for finding in findings:
        is_latest = finding.get("event") == "begins" and finding["step"] >= step
        if is_latest and isinstance(stops, list) and finding.get("name") in stops:
            return "stopped by the doctor"
    if last.get("name") == DIVERGENCE and last.get("event") == "begins" and last["step"] >= step:
        return "diverged"
    return None


def _state_by_silence(lines: list[dict[str, Any]], silent: float, is_over: bool, is_saved: bool) -> State:
    """The state of a run that has not recorded how it ended.

    Args:
        lines: of its log, which tell how far apart they are in time.
        silent: seconds since it wrote anything.
        is_over: SLURM says that its job runs no more.
        is_saved: its newest checkpoint is of its last step.
    """
    progress = ((number(line, "images"), number(line, "images_per_second")) for line in lines)
    (before, _), (images, speed) = [(0.0, 0.0), (0.0, 0.0), *(known for known in progress if None not in known)][-2:]
    between = (images - before) / speed if before and images and speed else 0.0
    if not is_over and silent <= max(QUIET_SECONDS, 3 * between):
        return "running"
    return "stopped" if is_saved else "silent"


def _seconds_since(*paths: Path) -> float | None:
    """Seconds since the newest of these files was written."""
    ages = [seconds for path in paths if (seconds := _age(path)) is not None]
    return min(ages, default=None)


def _age(path: Path) -> float | None:
    try:
        return max(0.0, time.time() - path.stat().st_mtime)
    except OSError:
        return None


def _recipe(files: RunFolder) -> Mapping[str, Any]:
    try:
        return files.read_recipe()
    except GanforgeError:
        return {}


def _newest_checkpoint(files: RunFolder) -> tuple[Mapping[str, Any], float | None]:
    for path, state in files.checkpoint_states():
        return state, _age(path)
    return {}, None


def _last_lines(path: Path) -> list[dict[str, Any]]:
    """The objects with a step on a file's last lines; none where it cannot be read."""
    try:
        return last_of(path)
    except (GanforgeError, OSError):
        return []


def _last_job(path: Path) -> str | None:
    """The number on the last line of a job list."""
    try:
        if not path.is_file():
            return None
        with path.open("rb") as file:
            file.seek(max(0, path.stat().st_size - 4096))
            written = file.read(4096).decode("utf-8", "replace").split("\n")
    except OSError:
        return None
    return next((line.strip() for line in reversed(written) if re.fullmatch(r"[0-9_+.]{1,64}", line.strip())), None)
