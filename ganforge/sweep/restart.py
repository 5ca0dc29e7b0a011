"""Starting a study over: what its folder holds is moved aside, unless a process still works on it."""

from pathlib import Path

from filelock import FileLock, Timeout

from ganforge.arguments import argument
from ganforge.errors import GanforgeError
from ganforge.run_files import RunFolder
from ganforge.run_folder.begun import move_aside, was_restarted_by_this_job
from ganforge.sweep.plan import SweepPlan
from ganforge.sweep.study import TURNSTILE


def move_study_aside(plan: SweepPlan) -> Path | None:
    """Move the study, with its trials' runs, into `.old-1` of its folder.

    Returns:
        the folder that it was moved to; None if there was nothing, or if this same job had moved it already before
        it was started again.

    Raises:
        GanforgeError: the study is kept elsewhere, or another process works on a trial of it.
    """
    folder = plan.folder
    if plan.storage:
        raise GanforgeError(
            f"{argument('restart', True)}: the study is kept in {plan.storage}; choose a new name with "
            f"{argument('study')}"
        )
    if not folder.is_dir() or was_restarted_by_this_job(folder):
        return None
    with FileLock(folder / TURNSTILE):
        for path in folder.glob(".trial-*.lock"):
            try:
                FileLock(path).acquire(timeout=0).lock.release()
            except Timeout:
                trial = path.stem.removeprefix(".trial-")
                raise GanforgeError(
                    f"{argument('restart', True)}: another process works on trial {trial} of {folder}; end it first, "
                    f"or leave {argument('restart')} out to share the trials"
                ) from None
        return move_aside(folder, (folder / TURNSTILE, RunFolder(folder).restarted))
