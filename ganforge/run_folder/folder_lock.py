"""One training per run folder: rank 0 holds a lock for as long as it lives.

The kernel lets go of it when the process ends, however it ends. On NFS (since Linux 2.6.12) and on Lustre mounted with
`flock` it holds between hosts, too; a server lets go of a dead host's locks late, and so another host's lock is waited
for longer. Where a file system has no locks at all, the training is alone as far as anybody can tell.
"""

import json
import os
import socket
import time
from collections.abc import Callable
from pathlib import Path

from filelock import FileLock, Timeout

from ganforge.arguments import overriding
from ganforge.errors import GanforgeError
from ganforge.files import write_text
from ganforge.run_files import RunFolder

PATIENCE = 10.0
"""Seconds for a process that was just killed to be gone."""
PATIENCE_WITH_OTHER_HOSTS = 120.0
"""Seconds; an NFS server keeps a dead client's locks for 90 by default."""


class FolderLock:
    """The lock of one run folder.

    Args:
        folder: of the run.
        say: called with the reason when waiting takes long.
    """

    def __init__(self, folder: Path, say: Callable[[str], object]) -> None:
        self._folder = folder
        self._say = say
        self._lock = FileLock(RunFolder(folder).lock)

    def hold(self) -> None:
        """Take it, if it is not held yet; the folder has to be there.

        Raises:
            GanforgeError: somebody else has it, or the folder cannot be written.
        """
        if self._lock.is_locked:
            return
        try:
            self._acquire()
            holder = {"host": socket.gethostname(), "pid": os.getpid(), "since": time.strftime("%Y-%m-%d %H:%M:%S")}
            write_text(RunFolder(self._folder).holder, json.dumps(holder) + "\n")
        except OSError as error:
            raise GanforgeError(
                f"{self._folder}: cannot be written: {error.strerror}; fix that, or set another with "
                f"{overriding('output=...')}"
            ) from error

    def _acquire(self) -> None:
        try:
            self._lock.acquire(timeout=PATIENCE)
        except Timeout:
            host = _holder(self._folder).get("host", "")
            if not host or host == socket.gethostname():
                raise self._refusal() from None
            self._say(
                f"{self._folder} is locked by another host, {host}; waiting up to {PATIENCE_WITH_OTHER_HOSTS:g} s in "
                "case that it has died"
            )
            try:
                self._lock.acquire(timeout=PATIENCE_WITH_OTHER_HOSTS)
            except Timeout:
                raise self._refusal() from None
        except NotImplementedError:  # a file system without locks
            return

    def _refusal(self) -> GanforgeError:
        holder = _holder(self._folder)
        who = f"process {holder.get('pid', '?')} on {holder.get('host', 'an unknown host')}"
        since = f", since {holder['since']}" if "since" in holder else ""
        return GanforgeError(
            f"{self._folder}: another training runs in this folder: {who}{since}; end it first, or choose another "
            f"folder with {overriding('name=...')}"
        )

    def release(self) -> None:
        if self._lock.is_locked:
            self._lock.release()


def _holder(folder: Path) -> dict[str, object]:
    """The process that holds the lock, as it has described itself."""
    try:
        holder = json.loads(RunFolder(folder).holder.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return holder if isinstance(holder, dict) else {}
