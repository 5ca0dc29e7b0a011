"""One run folder for all ranks, on file systems where a node sees a minute late what another one wrote.

NFS clients keep what they know of a folder for up to a minute, so a rank may find an older checkpoint than rank 0, or
none. Rank 0 decides, the others wait until they see it; a folder that is not shared at all is told by that. What any
rank finds something wrong with is passed over by all.
"""

import os
import secrets
import socket
import time
from collections.abc import Callable
from pathlib import Path

from accelerate import Accelerator
from accelerate.utils import broadcast_object_list, gather_object

from ganforge.arguments import overriding
from ganforge.errors import DamagedCheckpointError, GanforgeError
from ganforge.files import write_text
from ganforge.run_files import RunFolder
from ganforge.saved.checkpoint import Checkpoint, is_whole, step_of
from ganforge.saved.newest import Found, find_usable

PATIENCE = 120.0
"""Seconds; twice what NFS clients keep a folder's attributes by default (`acdirmax`)."""

Judge = Callable[[Checkpoint], str]
"""Why this rank cannot use a checkpoint, or an empty string."""


def agree_on_checkpoint(
    accelerator: Accelerator, folder: Path, found: Found, judge: Judge = lambda checkpoint: ""
) -> Found:
    """The newest checkpoint that no rank finds anything wrong with, once each of them sees it. All ranks together.

    Args:
        accelerator: knows the ranks.
        folder: run folder; rank 0 has made it.
        found: what rank 0 has found; ignored on other ranks.
        judge: this rank's look at a checkpoint.

    Returns:
        what all ranks go back to; what was passed over is known on rank 0 only.

    Raises:
        GanforgeError: this rank does not see the folder that rank 0 writes.
    """
    if accelerator.num_processes > 1:
        _require_same_folder(accelerator, folder)
    checkpoints = RunFolder(folder).checkpoints
    while True:
        name = _said_by_rank_0(accelerator, found.checkpoint.path.name if found.checkpoint else "")
        if not name:
            return found if accelerator.is_main_process else Found(None)
        checkpoint, reason = _look(accelerator, checkpoints / name, found, judge)
        reason = next((text for text in _of_all_ranks(accelerator, reason) if text), "")
        if not reason:
            return Found(checkpoint, found.passed_over if accelerator.is_main_process else ())
        if accelerator.is_main_process:
            path = checkpoints / name
            passed = Found(None, (*found.passed_over, DamagedCheckpointError(path, reason)))
            found = find_usable(checkpoints, before=step_of(path), nothing=passed)


def _look(accelerator: Accelerator, path: Path, found: Found, judge: Judge) -> tuple[Checkpoint | None, str]:
    """The checkpoint as this rank sees it, and what is wrong with it."""
    try:
        if not accelerator.is_main_process:
            wait_for(path, is_whole)
            found = Found(Checkpoint(path))
        assert found.checkpoint is not None
        return found.checkpoint, judge(found.checkpoint)
    except DamagedCheckpointError as error:
        return None, error.reason


def _said_by_rank_0(accelerator: Accelerator, text: str) -> str:
    return text if accelerator.num_processes == 1 else broadcast_object_list([text])[0]


def _of_all_ranks(accelerator: Accelerator, reason: str) -> list[str]:
    if accelerator.num_processes == 1:
        return [reason]
    rank = accelerator.process_index
    return gather_object([f"{reason} (seen by rank {rank} on {socket.gethostname()})" if reason and rank else reason])


def _require_same_folder(accelerator: Accelerator, folder: Path) -> None:
    token, marker = secrets.token_hex(8), RunFolder(folder).session
    if accelerator.is_main_process:
        write_text(marker, token)
    (token,) = broadcast_object_list([token])
    if not wait_for(marker, lambda marker: marker.read_text() == token):
        raise GanforgeError(
            f"{folder}: rank {accelerator.process_index} on {socket.gethostname()} does not see what rank 0 writes "
            f"there; the folder must lie on a file system that all nodes share: {overriding('output=...')}"
        )
    accelerator.wait_for_everyone()


def wait_for(path: Path, is_there: Callable[[Path], bool], patience: float | None = None) -> bool:
    """Whether a file appears in time, as `is_there` judges it; by default in `PATIENCE` seconds."""
    deadline = time.monotonic() + (PATIENCE if patience is None else patience)
    while True:
        try:
            if is_there(path):
                return True
            os.listdir(path.parent)  # makes an NFS client look again
        except OSError:
            pass
        if time.monotonic() > deadline:
            return False
        time.sleep(0.2)
