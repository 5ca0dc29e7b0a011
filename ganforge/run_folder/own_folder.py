"""The run folder as it was when training began, and not another that has since taken its place."""

import os
from pathlib import Path


class OwnFolder:
    """A run folder, kept open, so that no other can have its number.

    Args:
        path: of the folder, which is there.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._handle = os.open(path, os.O_RDONLY)

    def require(self) -> None:
        """Check that it is still there. A deleted one is not created again: it would lack its log and recipe.

        Raises:
            OSError: it is gone, or another is in its place.
        """
        try:
            is_mine = os.path.samestat(os.stat(self._path), os.fstat(self._handle))
        except OSError:
            is_mine = False
        if not is_mine:
            raise OSError(f"the run folder {self._path} is gone, or another is in its place")

    def close(self) -> None:
        os.close(self._handle)
