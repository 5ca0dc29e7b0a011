"""Temporary files of the cache: whose process is gone, they go too.

A file `KEY.tar` is fetched or unpacked under the lock of `KEY.lock`, into `.KEY.tar.<process>....tmp`. The kernel lets
go of a lock when its process dies, however it dies. So whoever can take the lock knows that nobody writes there.
"""

from pathlib import Path

from filelock import FileLock, Timeout


def remove_temporaries(target: Path) -> None:
    """Remove what was begun for `target`. Only for who holds its lock."""
    for path in target.parent.glob(f".{target.name}.*.tmp"):
        path.unlink(missing_ok=True)


def remove_abandoned(folder: Path, pattern: str = ".*.tmp") -> dict[Path, int]:
    """Remove the temporaries in a cache folder that no living process writes.

    Args:
        folder: of the cache.
        pattern: where its temporaries lie.

    Returns:
        what is still being written: target and bytes so far.
    """
    arriving: dict[Path, int] = {}
    for path in folder.glob(pattern):
        target = path.with_name(".".join(path.name.split(".")[1:3]))
        try:
            with FileLock(target.with_suffix(".lock"), timeout=0):
                path.unlink(missing_ok=True)
        except Timeout:
            try:
                arriving[target] = arriving.get(target, 0) + path.stat().st_size
            except FileNotFoundError:  # it has just arrived
                continue
    return arriving
