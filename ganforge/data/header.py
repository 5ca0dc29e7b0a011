"""What the first bytes of a picture say: grey or colour, 8 bits a channel or more. Nothing is decoded.

PNG and JPEG, most of what there is, are read by hand: Pillow takes 40 microseconds to open a file, and
a folder of grey pictures has to be looked through to its end.
"""

import io
from functools import lru_cache

import numpy as np
from PIL import Image

from ganforge.data.npy import read_layout

HEADER_BYTES = 4096
"""So much of a file is enough for nearly all headers; a page is read as fast as a byte."""

_PNG = b"\x89PNG\r\n\x1a\n"
_JPEG = b"\xff\xd8\xff"
_PNG_COLOUR_TYPES = (2, 3, 6)  # RGB, palette, RGBA; 0 and 4 are grey without and with alpha
_GREY_MODES = ("1", "L", "LA", "La", "I", "F")
_START_OF_FRAME = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_WITHOUT_LENGTH = frozenset((0x01, *range(0xD0, 0xD9)))


def is_colour(start: bytes) -> bool | None:
    """Whether a picture has colour, from its first bytes; None if they do not say.

    A palette counts as colour, as it does when the picture is decoded.
    """
    if start[:8] == _PNG and len(start) > 25:
        return start[25] in _PNG_COLOUR_TYPES
    if start[:3] == _JPEG:
        components = _jpeg_components(start)
        return None if components is None else components > 1
    return None


def is_deep(start: bytes) -> bool | None:
    """Whether a picture has more than 8 bits a channel, from its first bytes; None if they do not say."""
    if start[:8] == _PNG and len(start) > 25:
        return start[24] == 16
    return False if start[:3] == _JPEG else None  # Pillow reads no JPEG of 12 bits


def _jpeg_components(start: bytes) -> int | None:
    """The number of components in the first frame header (ITU-T T.81, B.2.2)."""
    position = 2
    while position + 10 <= len(start):
        if start[position] != 0xFF:
            return None
        marker = start[position + 1]
        if marker == 0xFF:  # a fill byte
            position += 1
        elif marker in _WITHOUT_LENGTH:
            position += 2
        elif marker in _START_OF_FRAME:
            return start[position + 9]
        else:
            position += 2 + int.from_bytes(start[position + 2 : position + 4], "big")
    return None


def has_colour(picture: Image.Image) -> bool:
    """The same of an opened picture."""
    return picture.mode not in _GREY_MODES and not picture.mode.startswith("I;")


def has_deep_values(picture: Image.Image) -> bool:
    """Whether an opened picture, not loaded yet, has more than 8 bits a channel.

    Pillow has modes of 16 bits for grey only. Of colours it keeps the upper byte, and its raw mode tells.
    """
    return picture.mode[0] in "IF" or ";16" in raw_mode(picture)


def raw_mode(picture: Image.Image) -> str:
    """The layout of the stored pixels of a picture that is not loaded yet, such as `RGB;16B`; empty if unknown."""
    tiles = getattr(picture, "tile", None)
    if not tiles:
        return ""
    arguments = tiles[0][3]
    found = arguments[0] if isinstance(arguments, tuple) and arguments else arguments
    return found if isinstance(found, str) else ""


def array_sight(start: bytes) -> tuple[bool, bool] | None:
    """Colour and depth of an array in the form of `.npy`, from its first bytes; None if they are no such header."""
    end = 10 + int.from_bytes(start[8:10], "little")  # version 1.0, which holds all shapes of pictures
    return _array_sight(start[:end])


@lru_cache(maxsize=64)  # nearly all headers of a source are the same
def _array_sight(header: bytes) -> tuple[bool, bool] | None:
    try:
        layout = read_layout(header)
    except ValueError:
        return None
    return len(layout.shape) == 3 and layout.shape[2] > 1, layout.dtype not in (np.uint8, np.bool_)


def look(data: bytes) -> tuple[bool, bool] | None:
    """Colour and depth of whole encoded bytes, of any format; None if they are no picture."""
    colour, deep = is_colour(data), is_deep(data)
    if colour is not None and deep is not None:
        return colour, deep
    try:
        picture = Image.open(io.BytesIO(data))
        return has_colour(picture), has_deep_values(picture)
    except Exception:  # its plugins raise whatever their parsing runs into
        return None
