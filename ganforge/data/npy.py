"""Arrays in NumPy's format from files nobody vouches for.

NumPy's own readers take memory for whatever shape the header announces, and read as much header as it
announces. Here the header is bounded, and the array is never larger than the bytes that are there.
"""

import io
import struct
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

MAGIC = b"\x93NUMPY"
HEADER_BYTES = 16_384
"""NumPy reads no longer header either, unless it is told to trust the file."""


class Layout(NamedTuple):
    """What a header says.

    Attributes:
        shape: of the array.
        dtype: of its values; never objects, which would be pickles.
        order: `C`, or `F` for Fortran's.
        offset: of the first value.
    """

    shape: tuple[int, ...]
    dtype: np.dtype
    order: Any
    offset: int

    @property
    def nbytes(self) -> int:
        """Size of the values, without overflow."""
        count = self.dtype.itemsize
        for side in self.shape:
            count *= side
        return count


def read_layout(head: bytes) -> Layout:
    """Parse the header of an array from the first bytes of its file, at least `HEADER_BYTES + 12` if it has them.

    Raises:
        ValueError: it is none, or describes what no picture or label is.
    """
    if head[:6] != MAGIC or len(head) < 12 or head[6] not in (1, 2, 3):
        raise ValueError("it is not an array in NumPy's format")
    length = struct.unpack_from("<H" if head[6] == 1 else "<I", head, 8)[0]
    if length > HEADER_BYTES:
        raise ValueError(f"its header says that it is {length} bytes long")
    file = io.BytesIO(head)
    version = np.lib.format.read_magic(file)
    read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
    if version == (3, 0):  # as 2.0, but for names of fields that are not Latin-1, and those are refused below
        file = io.BytesIO(MAGIC + b"\2\0" + head[8:])
        file.seek(8)
    try:
        shape, is_fortran, dtype = read(file, max_header_size=HEADER_BYTES)
    except Exception as error:  # literals nested too deep, keys that cannot be sorted, fields without a type, ...
        reason = " ".join(str(error).split())[:80] or type(error).__name__
        raise ValueError(f"its header cannot be read: {reason}") from None
    if dtype.hasobject or dtype.fields is not None or dtype.subdtype is not None:
        raise ValueError("it holds Python objects or records, not numbers")
    if any(type(side) is not int or side < 0 for side in shape) or len(shape) > 8:
        raise ValueError(f"its shape {str(shape)[:40]} is not possible")
    return Layout(shape, dtype, "F" if is_fortran else "C", file.tell())


def array_from(data: bytes | memoryview) -> np.ndarray:
    """The array that a whole file holds, as a read-only view of `data`.

    Raises:
        ValueError: it is damaged, holds objects, or is shorter than it says.
    """
    layout = read_layout(bytes(data[: HEADER_BYTES + 12]))
    _check_length(layout, len(data))
    values = np.frombuffer(data, np.uint8, layout.nbytes, layout.offset).view(layout.dtype)
    return values.reshape(layout.shape, order=layout.order)


def mapped(path: Path) -> np.ndarray:
    """The array of a `.npy` file, mapped read-only.

    Raises:
        ValueError: as for `array_from`.
        OSError: the file cannot be read.
    """
    with open(path, "rb") as file:
        layout = read_layout(file.read(HEADER_BYTES + 12))
    _check_length(layout, path.stat().st_size)
    if not layout.nbytes:
        return np.empty(layout.shape, layout.dtype)
    return np.memmap(path, layout.dtype, "r", layout.offset, layout.shape, layout.order)


def _check_length(layout: Layout, length: int) -> None:
    if layout.nbytes > length - layout.offset:
        raise ValueError(
            f"it is cut short: {length - layout.offset} bytes where {str(layout.nbytes)[:24]} belong to shape "
            f"{str(layout.shape)[:80]} of {layout.dtype}"
        )
