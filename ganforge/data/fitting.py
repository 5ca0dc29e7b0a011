"""How a picture becomes a sample: of which size, by cutting, adding a border or squeezing, and of which values."""

from dataclasses import dataclass
from typing import Literal, NamedTuple

import numpy as np
from PIL import Image

from ganforge.data.values import ValueRange
from ganforge.spec import DType

Crop = Literal["center", "celeba", "none", "pad"]
CROPS: tuple[Crop, ...] = ("center", "celeba", "none", "pad")
# The usual square of the aligned 178x218 CelebA pictures, 128 pixels around (89, 121), as in the Progressive
# GAN paper's data tool (Karras et al. 2018): left, top, right, bottom.
_CELEBA_BOX = (25, 57, 153, 185)
CELEBA_SIZE = (178, 218)


class BadPicture(Exception):
    """A picture that cannot be used; the text says why."""


class OutsideRange(BadPicture):
    """A picture with values outside of the range that was found out on others."""


@dataclass(frozen=True)
class Fit:
    """How a picture becomes a sample.

    Args:
        height: rows of the result; 0 keeps the picture's own size.
        width: columns of the result.
        crop: `center` cuts the largest centred part of the wanted proportions, `celeba` the usual square
            of aligned CelebA, `none` squeezes the whole picture, `pad` shrinks it whole and puts a border around it.
        channels: 1, 3, or 4 with alpha, or as many as arrays have; 0 keeps grey pictures grey and makes all others RGB.
        values: the values that become black and white where there are more than 8 bits; None for all 16 bits.
        dtype: of the result; `uint8` makes 8 bits of all values, the others keep them.
        has_alpha: whether the last channel is opacity; else transparent parts become white.
    """

    height: int = 0
    width: int = 0
    crop: Crop = "center"
    channels: int = 0
    values: ValueRange | None = None
    dtype: DType = "uint8"
    has_alpha: bool = False


class Placement(NamedTuple):
    """Which part of a picture is taken, and where it goes.

    Attributes:
        box: left, top, right and bottom of the part; None for all of it.
        size: `(width, height)` that the part is brought to.
        corner: left and top of the part in the sample; not (0, 0) where there is a border.
    """

    box: tuple[int, int, int, int] | None
    size: tuple[int, int]
    corner: tuple[int, int] = (0, 0)


def placement(width: int, height: int, fit: Fit) -> Placement:
    """What a fit does to a picture of this size.

    Raises:
        BadPicture: it has no CelebA crop.
    """
    box: tuple[int, int, int, int] | None = None
    if fit.crop == "celeba":
        if (width, height) == CELEBA_SIZE:
            box = _CELEBA_BOX
        elif width != height:
            raise BadPicture(f"is {height}x{width}, and the celeba crop is for aligned pictures of 218x178")
    elif fit.crop == "center":
        box = _centred(width, height, fit.width or 1, fit.height or 1)
    if not fit.height:
        return Placement(box, (width, height) if box is None else (box[2] - box[0], box[3] - box[1]))
    if fit.crop != "pad":
        return Placement(box, (fit.width, fit.height))
    scale = min(fit.width / width, fit.height / height)
    inner = min(fit.width, max(1, round(width * scale))), min(fit.height, max(1, round(height * scale)))
    return Placement(None, inner, ((fit.width - inner[0]) // 2, (fit.height - inner[1]) // 2))


def _centred(width: int, height: int, across: int, down: int) -> tuple[int, int, int, int] | None:
    """The largest centred box of proportions across:down, None if that is the whole picture."""
    box_width, box_height = min(width, height * across // down), min(height, width * down // across)
    if (box_width, box_height) == (width, height):
        return None
    left, top = (width - box_width) // 2, (height - box_height) // 2
    return left, top, left + box_width, top + box_height


def crop_and_resize(picture: Image.Image, fit: Fit) -> Image.Image:
    """The sample of a decoded picture, resized with antialiasing (Lanczos).

    Raises:
        BadPicture: it has no CelebA crop.
    """
    place = placement(*picture.size, fit)
    # Cropped first: with `box=`, the filter would look at pixels outside of it.
    picture = picture.crop(place.box) if place.box else picture
    if picture.size != place.size:
        picture = picture.resize(place.size, Image.Resampling.LANCZOS)
    if not fit.height or place.size == (fit.width, fit.height):
        return picture
    return Image.fromarray(bordered(np.asarray(picture), place, fit))


def bordered(pixels: np.ndarray, place: Placement, fit: Fit) -> np.ndarray:
    """Pixels `(height, width[, channels])` in the middle of a border in the median colour of their own edge.

    So a drawing on white stays on white, an X-ray on black, and what is transparent around goes on being so.
    """
    edge = np.concatenate([pixels[0], pixels[-1], pixels[:, 0], pixels[:, -1]])
    colour = np.sort(edge, axis=0)[len(edge) // 2]  # one of the values, where a mean of two would be none
    left, top = place.corner
    sample = np.empty((fit.height, fit.width, *pixels.shape[2:]), pixels.dtype)
    sample[...] = colour
    sample[top : top + pixels.shape[0], left : left + pixels.shape[1]] = pixels
    return sample
