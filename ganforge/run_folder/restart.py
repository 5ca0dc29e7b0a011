"""Clearing a run folder for a job that is yet to start."""

from pathlib import Path

from ganforge.run_folder.begun import move_aside
from ganforge.run_folder.folder_lock import FolderLock


def restart_folder(folder: Path) -> Path | None:
    """Move what a run folder holds aside, unless a training runs there.

    Returns:
        where it is now; None if there was nothing.

    Raises:
        GanforgeError: a training runs there, or the folder cannot be written.
    """
    if not folder.is_dir():
        return None
    lock = FolderLock(folder, print)
    lock.hold()
    try:
        return move_aside(folder)
    finally:
        lock.release()
