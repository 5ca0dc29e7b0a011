"""What packing did to pictures so that they became samples, counted by kind."""

from collections.abc import Iterable
from functools import lru_cache

import numpy as np
from PIL import Image

from ganforge.data.header import has_colour
from ganforge.data.pictures import Fit

_TRANSPARENT = ("LA", "La", "PA", "RGBA", "RGBa")
_TURNED_ON_ITS_SIDE = range(5, 9)  # EXIF orientations that swap height and width
Conversions = dict[str, tuple[int, str]]
"""By kind: how many pictures, and the name of the first."""


def conversions(picture: Image.Image, fit: Fit, orientation: int, deep: bool) -> tuple[str, ...]:
    """Kinds of conversions that an opened picture goes through, before it is loaded.

    Args:
        picture: as opened.
        fit: how it becomes a sample.
        orientation: of its EXIF data; 1 is upright.
        deep: whether it has more than 8 bits a channel.
    """
    mode = picture.mode
    transparent = mode in _TRANSPARENT or ("transparency" in picture.info and mode in ("P", "L", "RGB"))
    frames = bool(getattr(picture, "is_animated", False))
    return _kinds(mode, picture.size, (frames, transparent, deep, has_colour(picture)), orientation, fit)


@lru_cache(maxsize=1024)  # nearly all pictures of a source are alike
def _kinds(
    mode: str, size: tuple[int, int], traits: tuple[bool, bool, bool, bool], orientation: int, fit: Fit
) -> tuple[str, ...]:
    frames, transparent, deep, colour = traits
    kinds = ["first of several frames or pages taken"] if frames else []
    if transparent and not fit.has_alpha:
        kinds.append("transparent parts made white")
    if mode in ("CMYK", "YCbCr", "LAB", "HSV"):
        kinds.append(f"{mode} made RGB")
    kinds += _changed_depth(deep, fit)
    if fit.channels in (3, 4) and not colour:
        kinds.append("grey made RGB")
    elif fit.channels == 1 and colour:
        kinds.append("colour made grey")
    if orientation != 1:
        kinds.append("turned upright by EXIF")
    width, height = size
    on_its_side = orientation in _TURNED_ON_ITS_SIDE
    return (*kinds, *_changed_size((width, height) if on_its_side else (height, width), fit))


def array_conversions(array: np.ndarray, fit: Fit, has_alpha: bool) -> tuple[str, ...]:
    """The same for an array `(height, width)` or `(height, width, channels)`."""
    kinds = ["transparent parts made white"] if has_alpha and not fit.has_alpha else []
    kinds += _changed_depth(array.dtype not in (bool, np.uint8), fit)
    colour = array.ndim == 3 and array.shape[2] > 1
    if fit.channels == 3 and not colour:
        kinds.append("grey made RGB")
    elif fit.channels == 1 and colour:
        kinds.append("colour made grey")
    return (*kinds, *_changed_size((array.shape[0], array.shape[1]), fit))


def _changed_depth(deep: bool, fit: Fit) -> list[str]:
    if fit.dtype == "uint8":
        return ["more than 8 bits a channel made 8"] if deep else []
    return [] if deep else [f"8 bits a channel made {fit.dtype}"]


def _changed_size(size: tuple[int, int], fit: Fit) -> list[str]:
    """What becomes of a height and width."""
    height, width = size
    if not fit.height or (height, width) == (fit.height, fit.width):
        return []
    kinds = []
    if fit.crop == "celeba" and height != width:
        kinds.append("cropped")
    elif height * fit.width != width * fit.height:
        kinds.append({"none": "squeezed", "pad": "padded"}.get(fit.crop, "cropped"))
    if (
        fit.crop == "pad"
        and (height == fit.height or width == fit.width)
        and height <= fit.height
        and width <= fit.width
    ):
        return kinds  # a border is all that it got
    return [*kinds, "enlarged" if height < fit.height or width < fit.width else "resized"]


def counted_in(before: Conversions, kinds: Iterable[str], name: str) -> None:
    """Count the conversions of one picture."""
    for kind in kinds:
        count, first = before.get(kind, (0, name))
        before[kind] = (count + 1, first)


def added_to(before: Conversions, more: Conversions) -> None:
    """Add the counts of later pictures."""
    for kind, (count, name) in more.items():
        total, first = before.get(kind, (0, name))
        before[kind] = (total + count, first)
