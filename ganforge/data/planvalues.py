"""Which values the pictures of a pack have, which of them become black and white, and as what they are kept."""

from collections.abc import Sequence
from typing import Literal, NamedTuple

import numpy as np

from ganforge.arguments import argument
from ganforge.data.header import array_sight, is_colour, is_deep, look
from ganforge.data.pictures import BadPicture, values_in
from ganforge.data.sources.base import Source
from ganforge.data.values import RANGE_PROBES, ValueRange, extremes, range_of, spread
from ganforge.errors import DataError
from ganforge.spec import RANGES, DType
from ganforge.wording import counted

Depth = Literal["auto", "uint8", "uint16", "float32"]
_DEPTH_PROBES = 256
"""Headers, spread evenly, that are read to see whether there are more than 8 bits; a surprise later is an error."""


class Values(NamedTuple):
    """What becomes of the values of all pictures.

    Attributes:
        range: those that become black and white; None where all pictures have 8 bits.
        dtype: they are stored as.
    """

    range: ValueRange | None
    dtype: DType


def plan_values(source: Source, count: int, wanted: ValueRange | None, depth: Depth, rules: list[str]) -> Values:
    """Decide on range and type, and add a sentence on them to `rules`.

    Raises:
        DataError: the values have no known range, or the type cannot hold them.
    """
    arrays, names = _deep_values(source, count)
    if not arrays:
        dtype: DType = "uint8" if depth == "auto" else depth
        return Values(wanted or (None if dtype == "uint8" else ValueRange(*RANGES["uint8"], clip=False)), dtype)
    limits = wanted or _found(arrays, names)
    dtype = depth if depth != "auto" else _narrowest(arrays, limits)
    if dtype == "uint16" and not _are_whole(limits):
        raise DataError(
            f"{argument('dtype', 'uint16')}: holds whole numbers from 0 to 65,535, and the range is {limits}; "
            f"take {argument('dtype', 'float32')}"
        )
    if dtype != "uint8":
        rules.append(
            f"values are kept as {dtype}, and {limits} become -1..1; "
            "`ganforge data pack --range LOW,HIGH` says otherwise, `--dtype uint8` makes 8 bits of them"
        )
    elif wanted is None:
        highest = max(int(array.max()) for array in arrays if array.size)
        rules.append(
            f"{arrays[0].dtype} values up to {highest:,} in {counted(len(arrays), 'picture')} looked at, so {limits} "
            "become 0..255; `ganforge data pack --range LOW,HIGH` says otherwise"
        )
    return Values(limits, dtype)


def sight(source: Source, index: int) -> tuple[bool, bool] | None:
    """Colour and depth of a picture by its header; None if it cannot be told, which packing will say."""
    try:
        start = source.start(index)
        if not isinstance(start, np.ndarray):
            if start.startswith(b"\x93NUMPY"):
                return array_sight(start)
            colour, deep = is_colour(start), is_deep(start)
            if colour is not None and deep is not None:
                return colour, deep
            start = source.item(index).data
        if isinstance(start, np.ndarray):
            return start.ndim == 3 and start.shape[2] > 1, start.dtype not in (np.uint8, bool)
        return look(start)
    except (BadPicture, OSError):
        return None


def _deep_values(source: Source, count: int) -> tuple[list[np.ndarray], list[str]]:
    """Lowest and highest value, in their type, of some pictures of more than 8 bits; and what those are called."""
    places = [0] if source.is_uniform else spread(range(count), _DEPTH_PROBES)
    sights = [(place, sight(source, place)) for place in places]
    deep = [place for place, seen in sights if seen is not None and seen[1]]
    arrays, names = [], []
    for place in spread(range(count) if source.is_uniform and deep else deep, RANGE_PROBES):
        try:
            item = source.item(place)
            stored = values_in(item.data)
            arrays.append(extremes(stored[:, :, :3] if item.has_alpha else stored))
            names.append(item.name)
        except (BadPicture, OSError):
            continue  # said when it is packed
    return arrays, names


def _found(arrays: Sequence[np.ndarray], names: Sequence[str]) -> ValueRange:
    found = range_of(arrays)
    if found is None:
        array, name = next(pair for pair in zip(arrays, names, strict=True) if range_of([pair[0]]) is None)
        raise DataError(
            f"{name}: holds {array.dtype} from {array.min():g} to {array.max():g}; pixels must be uint8 or uint16, or "
            f"say which values become black and white with {argument('values', 'LOW,HIGH')}"
        )
    return found


def _narrowest(arrays: Sequence[np.ndarray], limits: ValueRange) -> DType:
    """The smallest type that keeps all values within the range."""
    if any(array.dtype.kind not in "ui" for array in arrays) or not _are_whole(limits):
        return "float32"
    return "uint8" if limits == (0, 255, False) else "uint16"


def _are_whole(limits: ValueRange) -> bool:
    low, high = float(limits.low), float(limits.high)
    return low.is_integer() and high.is_integer() and low >= 0 and high <= 65_535
