"""Compressed streams, read in pieces that stay small whatever they unpack to.

tarfile unpacks each ten kilobytes that it reads at once, which can be gigabytes; and Python's readers give xz all
the memory that its header asks for.
"""

import bz2
import gzip
import lzma
from typing import Any

_XZ_MEMORY = 2**27
"""What `xz -9` needs is half of it."""
_PIECE = 2**16


def decompressed(file: Any) -> Any:
    """What a binary file or pipe holds, without its compression: gzip, bzip2, xz, or none.

    Args:
        file: anything with `read(size)`.

    Returns:
        something with `read(size)`.
    """
    head = b""
    while len(head) < 6 and (piece := file.read(6 - len(head))):
        head += piece
    stream: Any = _Rewound(head, file)
    if head.startswith(b"\x1f\x8b"):
        return gzip.GzipFile(fileobj=stream, mode="rb")
    if head.startswith(b"BZh"):
        return bz2.BZ2File(stream)
    if head.startswith(b"\xfd7zXZ\0"):
        return _XzFile(stream)
    return stream


class _Rewound:
    """A stream with what has been read of it put back."""

    def __init__(self, head: bytes, file: Any) -> None:
        self._head, self._file = head, file

    def read(self, size: int) -> bytes:
        if self._head:
            piece, self._head = self._head[:size], self._head[size:]
            return piece
        return self._file.read(size)


class _XzFile:
    """Reads xz with a limit on memory, which `lzma.open` does not offer; several streams may follow each other."""

    def __init__(self, file: Any) -> None:
        self._file = file
        self._decoder = lzma.LZMADecompressor(memlimit=_XZ_MEMORY)
        self._packed = b""

    def read(self, size: int) -> bytes:
        while True:
            if self._decoder.eof:
                self._packed = self._decoder.unused_data.lstrip(b"\0")
                while not self._packed and (piece := self._file.read(_PIECE)):
                    self._packed = piece.lstrip(b"\0")  # streams are padded with zeros
                if not self._packed:
                    return b""
                self._decoder = lzma.LZMADecompressor(memlimit=_XZ_MEMORY)
            if self._decoder.needs_input and not self._packed:
                self._packed = self._file.read(_PIECE)
                if not self._packed:
                    raise EOFError("the file is cut short")
            data, self._packed = self._decoder.decompress(self._packed, size), b""
            if data:
                return data
