"""How runs are doing, from what lies in their folders; reads no weights and imports no torch."""

import json
import time
import tomllib
from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from ganforge.cluster.queue import job_states
from ganforge.cluster.submit import SLURM_FOLDER
from ganforge.errors import GanforgeError

RECIPE = "recipe.resolved.toml"


@dataclass(frozen=True)
class RunStatus:
    """One run folder in figures; None for what is not known.

    Args:
        folder: path.
        step: the last one that was logged or saved.
        steps: of the whole run.
        images_per_second: of the last line of the log.
        checkpoint_step: of the newest checkpoint.
        checkpoint_age_seconds: since it was written.
        best: the best figure so far: its name, value and step.
        finding: the doctor's last one: step, name and message.
        job: number of the newest SLURM job.
        job_state: what SLURM says of it.
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

    def to_dict(self) -> dict[str, Any]:
        """For JSON."""
        return asdict(self)


def find_runs(paths: Sequence[Path]) -> list[Path]:
    """Run folders among the paths and directly below them.

    Raises:
        GanforgeError: a path is neither a run folder nor holds any.
    """
    found: list[Path] = []
    for path in paths:
        below = sorted(path.iterdir()) if path.is_dir() else []
        runs = [path] if _is_run(path) else [folder for folder in below if _is_run(folder)]
        if not runs:
            raise GanforgeError(
                f"{path}: is no run folder and holds none; give the folders of runs, or of their output"
            )
        found.extend(runs)
    return list(dict.fromkeys(found))


def _is_run(folder: Path) -> bool:
    return (folder / RECIPE).is_file() or (folder / SLURM_FOLDER / "jobs").is_file()


def statuses(folders: Sequence[Path]) -> list[RunStatus]:
    """One of each folder, with one question to SLURM for each that has a job."""
    jobs = {folder: _last_line(folder / SLURM_FOLDER / "jobs") for folder in folders}
    states = job_states(job for job in jobs.values() if job)
    return [_status(folder, jobs[folder], states) for folder in folders]


def _status(folder: Path, job: str | None, states: dict[str, str]) -> RunStatus:
    lines = _objects(folder / "metrics.jsonl")
    checkpoint, age = _newest_checkpoint(folder / "checkpoints")
    logged = [line["step"] for line in lines if isinstance(line.get("step"), int)]
    speeds = [line["images_per_second"] for line in lines if "images_per_second" in line]
    saved = checkpoint.get("step")
    return RunStatus(
        folder=str(folder),
        step=max([*logged, saved or 0]),
        steps=_recipe(folder / RECIPE).get("training", {}).get("steps"),
        images_per_second=speeds[-1] if speeds else None,
        checkpoint_step=saved,
        checkpoint_age_seconds=age,
        best=checkpoint.get("best"),
        finding=next(reversed(_objects(folder / "health.jsonl")), None),
        job=job,
        job_state=states.get(job) if job else None,
    )


def _recipe(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):  # ValueError: not TOML, not UTF-8
        return {}


def _newest_checkpoint(folder: Path) -> tuple[dict[str, Any], float | None]:
    for path in sorted(folder.glob("step-*/checkpoint.json"), reverse=True):
        try:
            return json.loads(path.read_text(encoding="utf-8")), max(0.0, time.time() - path.stat().st_mtime)
        except (OSError, ValueError):
            continue
    return {}, None


def _objects(path: Path, last: int = 1000) -> list[dict[str, Any]]:
    """The objects on a file's last lines; a line that a kill has torn is passed over."""
    found = []
    for line in _tail(path, last):
        try:
            value = json.loads(line)
        except ValueError:
            continue
        if isinstance(value, dict):
            found.append(value)
    return found


def _tail(path: Path, last: int) -> Iterable[str]:
    try:
        with path.open(encoding="utf-8", errors="replace") as file:
            return deque(file, maxlen=last)
    except OSError:
        return ()


def _last_line(path: Path) -> str | None:
    return next((line.strip() for line in reversed([*_tail(path, 20)]) if line.strip()), None)
