"""Values of more than 8 bits: which of them become black and white, and how they become 8 bits.

Scanners and cameras store 10, 12 or 14 bits in containers of 16. Who keeps the upper byte of such a picture
gets 0..15 of 255: nearly black. So the range is found out, or asked for.
"""

import io
import math
import sys
from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np
from PIL import Image, ImageFile

from ganforge.arguments import argument
from ganforge.data.header import raw_mode
from ganforge.errors import DataError

SAY_RANGE = f"say the range of its values, such as {argument('values', '0,1')}"
_DEPTHS = (8, 10, 12, 14, 16)
RANGE_PROBES = 64
"""So many pictures, spread evenly, are decoded to find the range; a later one outside of it is an error."""


class OutsideRangeError(ValueError):
    """A value lies outside of a range that was found out on other pictures."""


class ValueRange(NamedTuple):
    """The values that become black and white.

    Attributes:
        low: becomes 0.
        high: becomes 255.
        clip: whether values outside are brought to its ends, as with a window that somebody chose; else they
            are an error, since a range that was found out does not hold.
    """

    low: float
    high: float
    clip: bool = True

    def __str__(self) -> str:
        return f"{self.low:g}..{self.high:g}"

    @property
    def is_for_bytes(self) -> bool:
        """Whether 8-bit values can fill it: 0..4095 is said of other pictures than of 8-bit ones."""
        return self.high <= 255


def parse_range(text: str) -> ValueRange | None:
    """`0,4095` as a range, None for nothing.

    Raises:
        DataError: it is not a pair of numbers, the lower one first.
    """
    if not text:
        return None
    try:
        low, high = (float(part) for part in text.split(","))
    except ValueError:
        low, high = math.nan, math.nan
    if not (math.isfinite(low) and math.isfinite(high) and low < high):
        raise DataError(f"{argument('values', text)}: give the values that become black and white, such as 0,4095")
    return ValueRange(low, high)


def range_of(arrays: Iterable[np.ndarray]) -> ValueRange | None:
    """The range of the fewest bits that hold all values: 8, 10, 12, 14 or 16.

    Returns:
        None if there is no such range: values below 0, above 65,535, or not whole.
    """
    highest = 0
    for values in arrays:
        if values.dtype.kind not in "ui" or (values.size and int(values.min()) < 0):
            return None
        highest = max(highest, int(values.max()) if values.size else 0)
    bits = next((bits for bits in _DEPTHS if highest < 2**bits), None)
    return None if bits is None else ValueRange(0, 2**bits - 1, clip=False)


def extremes(values: np.ndarray) -> np.ndarray:
    """The lowest and the highest value, all that `range_of` needs of a picture; empty if it has none."""
    return np.array([values.min(), values.max()]) if values.size else values


def spread(places: Sequence[int], most: int) -> list[int]:
    """At most `most` of the places at even distances, the first and the last among them."""
    if len(places) <= most:
        return list(places)
    return [places[round(step * (len(places) - 1) / (most - 1))] for step in range(most)]


def to_bytes(values: np.ndarray, limits: ValueRange) -> np.ndarray:
    """Values of any type to uint8.

    Whole numbers in a range of whole numbers fall into 256 equal bins, so 12 and 16 bits lose their lower bits and
    8 bits stay as they are; all others are scaled and rounded.

    Raises:
        ValueError: a value is not finite.
        OutsideRangeError: a value lies outside of a range that does not clip.
    """
    whole = values.dtype.kind in "ui" and float(limits.low).is_integer() and float(limits.high).is_integer()
    whole = whole and limits.high - limits.low < 2**40  # or the bins below would overflow
    if values.dtype.kind == "f" and not np.isfinite(values).all():
        raise ValueError("holds values that are not finite")
    if not limits.clip and values.size:
        lowest, highest = values.min(), values.max()
        if lowest < limits.low or highest > limits.high:
            outside = highest if highest > limits.high else lowest
            raise OutsideRangeError(
                f"holds {outside}, outside of the range {limits} of the pictures that were looked at"
            )
    if whole:
        low, high = int(limits.low), int(limits.high)
        # Clipped first: no 64-bit value can then overflow. Bounds beyond the type are no bounds.
        info = np.iinfo(values.dtype)
        if low > info.max or high < info.min:
            return np.full(values.shape, 0 if low > info.max else 255, np.uint8)
        kept = np.clip(values, max(low, info.min), min(high, info.max)).astype(np.int64)
        return ((kept - low) * 256 // (high - low + 1)).astype(np.uint8)
    scaled = (values.astype(np.float64) - limits.low) / (limits.high - limits.low)
    return np.rint(np.clip(scaled, 0, 1) * 255).astype(np.uint8)


def deep_values(picture: Image.Image) -> np.ndarray:
    """The values of a picture that is not loaded yet, all bits of them.

    Returns:
        `(height, width)` or `(height, width, channels)`; uint16 where Pillow has no mode for them.

    Raises:
        ValueError: Pillow cannot give the lower bytes.
        OSError: it is damaged.
    """
    mode = raw_mode(picture)
    if picture.mode[0] in "IF" or ";16" not in mode:
        return np.asarray(picture)
    if not isinstance(picture, ImageFile.ImageFile):
        raise ValueError("has colours of 16 bits that Pillow does not give")
    if mode == "LA;16B":
        # Four bytes a pixel, as in RGBA: upper and lower byte of grey, then of alpha.
        _store_as(picture, "RGBA")
        return np.ascontiguousarray(np.asarray(picture)).view(">u2").astype(np.uint16)
    # Of a 16-bit colour Pillow keeps the byte that its raw mode calls the upper one. Read once more with the
    # other byte order, it gives the lower one.
    picture.fp.seek(0)  # type: ignore[union-attr] # open until it is loaded
    lower = Image.open(io.BytesIO(picture.fp.read()))  # type: ignore[union-attr]
    assert isinstance(lower, ImageFile.ImageFile)
    order = mode[-1]
    big = order == "B" or (order == "N" and sys.byteorder == "big")
    _store_as(lower, mode[:-1] + ("L" if big else "B"))
    return np.asarray(picture).astype(np.uint16) << 8 | np.asarray(lower)


def _store_as(picture: ImageFile.ImageFile, mode: str) -> None:
    """Say how the pixels of a picture that is not loaded yet are to be unpacked."""
    tiles = []
    for tile in picture.tile:
        arguments = (mode, *tile.args[1:]) if isinstance(tile.args, tuple) else mode
        tiles.append(tile._replace(args=arguments))
    picture.tile = tiles
