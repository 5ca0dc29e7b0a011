"""A folder in which a run was begun: nothing in it is overwritten; with `--restart` it is moved aside."""

import json
import os
import socket
import tomllib
from collections.abc import Collection
from pathlib import Path

from ganforge.files import sync, write_text
from ganforge.recipe import Recipe, difference
from ganforge.run_files import STEP, RunFolder
from ganforge.saved.checkpoint import candidates
from ganforge.wording import counted


def what_it_holds(folder: Path) -> list[str]:
    """Descriptions of a run's traces in a folder; empty if there are none."""
    found, files = [], RunFolder(folder)
    metrics, checkpoints = files.metrics, files.checkpoints
    if steps := logged_steps(folder):
        found.append(f"{metrics.name} up to step {steps:,}")
    elif metrics.is_file() and metrics.stat().st_size:
        found.append(metrics.name)
    found += [path.name for path in files.generators()]
    if count := len(candidates(checkpoints)):
        found.append(counted(count, "checkpoint"))
    elif checkpoints.is_dir() and any(not path.name.startswith(f".{STEP}") for path in checkpoints.iterdir()):
        found.append(f"{checkpoints.name}/")
    return found


def logged_steps(folder: Path) -> int:
    """The last step in `metrics.jsonl`; 0 if none."""
    last = 0
    try:
        with RunFolder(folder).metrics.open("rb") as file:
            for text in file:
                try:
                    line = json.loads(text)
                except (ValueError, RecursionError):
                    continue
                step = line.get("step") if isinstance(line, dict) else None
                last = max(last, step) if type(step) is int else last
    except OSError:
        return 0
    return last


def ended_before_its_first_checkpoint(recipe: Recipe) -> bool:
    """Whether all that a folder holds is the log of the same run, ended before it had anything to save.

    To begin such a run again loses nothing: it makes the same figures once more.
    """
    folder = recipe.folder
    held, last = what_it_holds(folder), min(recipe.checkpoint.every, recipe.training.steps - 1)
    if len(held) != 1 or not 0 < logged_steps(folder) <= last:
        return False
    try:
        before = tomllib.loads(RunFolder(folder).recipe.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
    return not difference(before, recipe.to_dict())


def move_aside(folder: Path, stays: Collection[Path] | None = None) -> Path | None:
    """Move what a folder holds into `.old-1` below it, or `.old-2`, ...; nothing is deleted.

    The job that asked for it is recorded: when its queue or launcher starts it again, it resumes.

    Args:
        folder: of a run, or of a study.
        stays: paths that stay where they are; by default what belongs to the process or to the job that starts the run.

    Returns:
        where it is now; None if there was nothing.
    """
    files = RunFolder(folder)
    if stays is None:
        stays = (files.lock, files.holder, files.restarted, files.session, files.slurm)
    moved = [path for path in sorted(folder.iterdir()) if path not in stays and not files.is_moved_aside(path.name)]
    place = None
    if moved:
        number = 1
        while os.path.lexists(files.moved_aside(number)):
            number += 1
        place = files.moved_aside(number)
        place.mkdir()
        for path in moved:
            os.rename(path, place / path.name)
        sync(folder)
    write_text(files.restarted, json.dumps({"job": _job()}) + "\n")
    return place


def was_restarted_by_this_job(folder: Path) -> bool:
    """Whether this job was started again by its launcher or queue after it had restarted the run."""
    counts = ("SLURM_RESTART_COUNT", "TORCHELASTIC_RESTART_COUNT")
    if all(os.environ.get(name, "") in ("", "0") for name in counts):
        return False
    try:
        return json.loads(RunFolder(folder).restarted.read_text(encoding="utf-8"))["job"] == _job()
    except (OSError, ValueError, KeyError, TypeError):
        return False


def _job() -> str:
    """What stays the same when a queue or a launcher starts this process again."""
    number = os.environ.get("SLURM_JOB_ID")
    return f"slurm {number}" if number else f"child of {os.getppid()} on {socket.gethostname()}"
