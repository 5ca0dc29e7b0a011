"""The disk that a run is written to: full, read-only or gone is told in a line."""

import errno
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ganforge.errors import GanforgeError

_OF_THE_DISK = {errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EIO, errno.ESTALE}


@contextmanager
def disk_trouble_told(folder: Path) -> Iterator[None]:
    """Say in one line what ended a training that could not do without the disk.

    Args:
        folder: of the run.

    Raises:
        GanforgeError: the disk, or the run folder, failed under the body.
    """
    try:
        yield
    except OSError as error:
        place = Path(error.filename) if isinstance(error.filename, str) else folder
        if error.errno not in _OF_THE_DISK and not place.absolute().is_relative_to(folder.absolute()):
            raise
        raise GanforgeError(
            f"{place}: {error.strerror or error}; training cannot go on. Once that is fixed, the same command resumes"
        ) from error
