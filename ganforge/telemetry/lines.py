"""A file of lines that is only ever added to, on a disk that may fill up."""

import os
from collections.abc import Callable
from pathlib import Path


class LineFile:
    """Appends whole lines; those for which the disk has no room are kept in memory and written with the next that fits.

    Args:
        path: of the file.
        warn: told what the operating system says when a line cannot be written.
    """

    def __init__(self, path: Path, warn: Callable[[str], object]) -> None:
        self.path = path
        self._warn = warn
        self._waiting: list[bytes] = []
        self._file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o666)

    def write(self, line: str) -> None:
        self._waiting.append(line.encode() + b"\n")
        self._flush()

    def close(self) -> None:
        """Try once more to write the lines that are still waiting."""
        if self._waiting:
            self._flush()
        os.close(self._file)

    def _flush(self) -> None:
        end = os.fstat(self._file).st_size
        try:
            text = b"".join(self._waiting)
            while text:
                text = text[os.write(self._file, text) :]
        except OSError as error:
            os.ftruncate(self._file, end)  # half a line would be no line
            self._warn(error.strerror or str(error))
        else:
            self._waiting.clear()
