"""sha256 of files on a thread beside the one that writes them."""

import hashlib
import os
import threading
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol

PIECE = 16 << 20
"""Bytes hashed at a time: between two pieces a thread may wait long for the interpreter's lock."""


def sha256_of(path: Path) -> str:
    """Hex sha256 of a file."""
    digest = hashlib.sha256()
    with path.open("rb", buffering=0) as file:
        buffer = memoryview(bytearray(min(PIECE, max(1, os.fstat(file.fileno()).st_size))))
        while size := file.readinto(buffer):
            digest.update(buffer[:size])
    return digest.hexdigest()


class Writable(Protocol):
    """What a library that writes from front to back needs of a file."""

    def write(self, data: bytes | memoryview, /) -> int: ...

    def flush(self) -> None: ...


class Hasher:
    """Takes the sha256 of files one after another, on a thread of its own.

    A file that is written by `open` is read again, out of the operating system's cache, while it grows: `torch.save`
    computes a CRC32 of everything before it writes it, and a second core hashes meanwhile.
    """

    def __init__(self) -> None:
        self._found: dict[str, Future[str]] = {}
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="sha256")

    @contextmanager
    def open(self, path: Path) -> Iterator[Writable]:
        """A new file, to be written from front to back."""
        with path.open("wb") as file:
            growing = _GrowingFile(file)
            self._found[path.name] = self._thread.submit(growing.sha256_of, path)
            try:
                yield growing
                file.flush()
            finally:  # also without an error: the thread waits for more until it is told that there is none
                growing.end()

    def add(self, path: Path) -> None:
        """A file that is there."""
        self._found[path.name] = self._thread.submit(sha256_of, path)

    @property
    def names(self) -> list[str]:
        """Names of the files so far."""
        return list(self._found)

    def sha256(self, name: str) -> str:
        """Hex sha256 of a file, waiting until it is known."""
        return self._found[name].result()

    def close(self) -> None:
        self._thread.shutdown()


class _GrowingFile:
    """A file for one thread to write and another to hash."""

    def __init__(self, file: Writable) -> None:
        self._file = file
        self._changed = threading.Condition()
        self._written = 0
        self._is_complete = False

    def write(self, data: bytes | memoryview, /) -> int:
        size = self._file.write(data)
        with self._changed:
            self._written += size
            self._changed.notify()
        return size

    def flush(self) -> None:
        self._file.flush()

    def end(self) -> None:
        """Nothing is written any more."""
        with self._changed:
            self._is_complete = True
            self._changed.notify()

    def sha256_of(self, path: Path) -> str:
        """Hex sha256 of what the other thread writes, as soon as it has ended."""
        digest = hashlib.sha256()
        buffer = memoryview(bytearray(PIECE))
        done = 0
        with path.open("rb", buffering=0) as file:
            while True:
                is_complete = self._wait_beyond(done + PIECE)
                while size := file.readinto(buffer):
                    digest.update(buffer[:size])
                    done += size
                if is_complete:
                    return digest.hexdigest()

    def _wait_beyond(self, size: int) -> bool:
        """Until so many bytes are written; whether nothing is written any more."""
        with self._changed:
            self._changed.wait_for(lambda: self._is_complete or self._written >= size)
            return self._is_complete
