"""What a file of somebody else may ask of this machine, and reading that stops there.

A header of a few bytes can announce terabytes. Whatever is announced is compared with what is really there, or
with these bounds, before memory is taken for it.
"""

import io
from typing import Any

PICTURE_BYTES = 100_000_000
"""Of one picture as it is stored; 33 megapixels without any compression."""

METADATA_BYTES = 16_000_000
"""Of the `.json` beside a picture."""

LABEL_BYTES = 4096
"""Of a `.cls`: a number, or the name of a class."""

MANIFEST_BYTES = 64_000_000
"""Of a `dataset.json`; 400,000 shards, which are 50 TB as `data pack` cuts them."""

CLASSES = 1_000_000
"""Of one dataset; the largest public ones have some 200,000."""

SIDE = 16384
"""Height and width of a sample, as for `data pack --size`."""

_PIECE = 2**20


class TooLarge(ValueError):
    """There is more than may be read."""


def read_bounded(file: Any, most: int) -> bytes:
    """The rest of an open binary file, piece by piece, so that nothing but its own size is taken in memory.

    Raises:
        TooLarge: it is longer than `most` bytes.
    """
    buffer = io.BytesIO()
    while piece := file.read(min(_PIECE, most + 1 - buffer.tell())):
        buffer.write(piece)
        if buffer.tell() > most:
            raise TooLarge(f"is larger than {in_bytes(most)}")
    return buffer.getvalue()


def in_bytes(count: int) -> str:
    """A size in words, such as `100 MB`."""
    for unit, factor in (("GB", 10**9), ("MB", 10**6), ("kB", 10**3)):
        if count >= factor:
            return f"{count / factor:.3g} {unit}"
    return f"{count} bytes"
