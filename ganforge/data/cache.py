"""Fetched shards in the cache folder: one process a node fetches each, and old ones make room.

A shard is named by its content's hash, so two datasets that share it share the file. Its lock file
makes the other ranks of a node wait for the one that fetches, and if that one fails, they say the
same instead of trying it all over again.
"""

import json
import logging
import os
import time
from collections.abc import Iterable
from pathlib import Path

from filelock import FileLock

from ganforge.data.fetch import Patience, fetch
from ganforge.data.leftovers import remove_abandoned, remove_temporaries
from ganforge.data.urls import cache_key
from ganforge.errors import DataError
from ganforge.loader_options import LoaderOptions

# A failure of this run's ranks is everybody's for this long: they all end with it, and soon. After that, or
# in a run that starts again, a shard is asked for again.
_REMEMBER_SECONDS = 60.0
_TEMPORARIES = "??/.*.tmp"
CACHE_LIMIT_BYTES = LoaderOptions().cache_limit_bytes
_log = logging.getLogger(__name__)


class ShardCache:
    """A folder of fetched shards.

    Args:
        folder: nothing outside it is ever written.
        patience: limits on fetching.
        limit_bytes: of all shards together, and so of each whose size is unknown.
    """

    def __init__(self, folder: Path, patience: Patience | None = None, limit_bytes: int = CACHE_LIMIT_BYTES) -> None:
        self.folder = folder
        self.limit_bytes = limit_bytes
        self._swept = False
        self._patience = patience
        self._in_use: set[str] = set()
        self._created = time.time()

    def path(self, location: str, sha256: str = "") -> Path:
        """Where a shard is or will be."""
        key = cache_key(location, sha256)
        return self.folder / key[:2] / f"{key}.tar"

    def get(self, location: str, *, size: int = 0, sha256: str = "") -> Path:
        """The local file of a shard, fetched if it is not there.

        Raises:
            DataError: it cannot be had, here or by the rank that tried first.
        """
        target = self.path(location, sha256)
        if _is_there(target, size):
            return target
        target.parent.mkdir(parents=True, exist_ok=True)
        failed = target.with_suffix(".failed")
        with FileLock(target.with_suffix(".lock")):
            if _is_there(target, size):
                return target
            if failed.exists() and failed.stat().st_mtime >= max(self._created, time.time() - _REMEMBER_SECONDS):
                raise DataError(_message(failed, location))
            self._sweep_once()
            remove_temporaries(target)
            try:
                fetch(location, target, size=size, limit=self.limit_bytes, sha256=sha256, patience=self._patience)
            except DataError as error:
                temporary = failed.with_suffix(f".{os.getpid()}.tmp")
                temporary.write_text(json.dumps({"message": str(error)}))
                os.replace(temporary, failed)
                raise
            failed.unlink(missing_ok=True)
        return target

    def keep(self, wanted: Iterable[Path]) -> None:
        """Name the shards that must stay; the longest unused others go when the limit is passed."""
        self._in_use = {str(path) for path in wanted}
        now = time.time()
        for path in self._in_use:
            if os.path.exists(path):
                os.utime(path, (now, now))
        self.make_room()

    def make_room(self) -> None:
        """Remove what nobody needs; the shards that are on their way count with the size of the largest here."""
        self.folder.mkdir(parents=True, exist_ok=True)
        coming = sum(1 for path in self._in_use if not os.path.exists(path))
        with FileLock(self.folder / "evict.lock"):
            arriving = remove_abandoned(self.folder, _TEMPORARIES)
            files = []
            for path in self.folder.glob("??/*.tar"):
                try:
                    stat = path.stat()
                except FileNotFoundError:
                    continue
                files.append((stat.st_mtime, stat.st_size, path))
            used = sum(size for _, size, _ in files)
            used += coming * max((size for _, size, _ in files), default=0)
            used += sum(size for path, size in arriving.items() if str(path) not in self._in_use)
            for _, size, path in sorted(files):
                if used <= self.limit_bytes:
                    return
                if str(path) not in self._in_use:
                    path.unlink(missing_ok=True)
                    used -= size
                    _log.info("cache: removed %s", path.name)

    def _sweep_once(self) -> None:
        """Before the first fetch, away with what killed processes left; later, `make_room` sees to it."""
        if not self._swept:
            self._swept = True
            remove_abandoned(self.folder, _TEMPORARIES)


def _message(failed: Path, location: str) -> str:
    try:
        return str(json.loads(failed.read_text())["message"])
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return f"{location}: could not be fetched a moment ago; try again"


def _is_there(path: Path, size: int) -> bool:
    try:
        found = path.stat().st_size
    except FileNotFoundError:
        return False
    if size and found != size:
        path.unlink(missing_ok=True)  # cut short by something that is not us
        return False
    return True
