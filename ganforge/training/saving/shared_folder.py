"""One run folder for all ranks, on file systems where a node sees a minute late what another one wrote.

NFS clients keep what they know of a folder for up to a minute, so a rank may find an older checkpoint than rank 0, or
none. Rank 0 decides, the others wait until they see it; a folder that is not shared at all is told by that.
"""

import os
import secrets
import socket
import time
from collections.abc import Callable
from pathlib import Path

from accelerate import Accelerator
from accelerate.utils import broadcast_object_list

from ganforge.errors import GanforgeError
from ganforge.files import write_text
from ganforge.saved.checkpoint import Checkpoint, is_whole

MARKER = ".session"
PATIENCE = 120.0
"""Seconds; twice what NFS clients keep a folder's attributes by default (`acdirmax`)."""


def agree_on_checkpoint(accelerator: Accelerator, folder: Path, found: Checkpoint | None) -> Checkpoint | None:
    """Rank 0's newest checkpoint on every rank, once each of them sees it. All ranks together.

    Args:
        accelerator: knows the ranks.
        folder: run folder; rank 0 has made it.
        found: what this rank sees.

    Raises:
        GanforgeError: this rank does not see the folder that rank 0 writes.
    """
    if accelerator.num_processes == 1:
        return found
    token = secrets.token_hex(8)
    if accelerator.is_main_process:
        write_text(folder / MARKER, token)
    token, name = broadcast_object_list([token, found.path.name if found else ""])
    path = folder / "checkpoints" / name
    if not wait_for(folder / MARKER, lambda marker: marker.read_text() == token) or (
        name and not wait_for(path, is_whole)
    ):
        raise GanforgeError(
            f"{folder}: rank {accelerator.process_index} on {socket.gethostname()} does not see what rank 0 writes "
            "there; the folder must lie on a file system that all nodes share: --set output=..."
        )
    accelerator.wait_for_everyone()
    return Checkpoint(path) if name else None


def wait_for(path: Path, is_there: Callable[[Path], bool], patience: float | None = None) -> bool:
    """Whether a file comes to be there in time, as `is_there` judges it; by default in `PATIENCE` seconds."""
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
