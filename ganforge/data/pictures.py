"""One picture: bytes to uint8 pixels of the wanted shape, and pixels back to bytes."""

import io
import math
import os
import re
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import cache

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from ganforge.arguments import argument
from ganforge.data.deep import deep_pixels, raised
from ganforge.data.fitting import CELEBA_SIZE, BadPicture, Fit, OutsideRange, crop_and_resize
from ganforge.data.header import has_deep_values
from ganforge.data.npy import MAGIC, array_from
from ganforge.data.valuefile import png16
from ganforge.data.values import SAY_RANGE, OutsideRangeError, ValueRange, deep_values, to_bytes

EXTENSIONS = ("jpg", "jpeg", "png", "webp", "bmp", "ppm", "pgm", "pnm", "tif", "tiff", "gif", "avif")
ARRAY_EXTENSION = "npy"
NOTHING_SAYS_ALPHA = (
    "nothing says that the fourth is alpha; keep 3 of them, keep all with "
    f"{argument('channels', 4)}, or name the array 'rgba' in an .npz"
)
MAX_PIXELS = 178_956_970
"""Pictures of more pixels are not decoded unasked: Pillow's own limit, above which it raises an error."""
_BYTE = np.dtype(np.uint8)
_ORIENTATION = 0x0112  # of EXIF
# No codec reaches this many pixels a byte for anything but an empty page; smaller ones may be empty.
_BOMB_PIXELS, _BOMB_RATIO = 2**24, 4096


@contextmanager
def pixel_limit(max_pixels: int) -> Iterator[None]:
    """Let in pictures of up to this number of pixels meanwhile; process-wide, as Pillow's limit is."""
    before = Image.MAX_IMAGE_PIXELS
    Image.MAX_IMAGE_PIXELS = -(-max_pixels // 2)  # Pillow refuses above twice of it, and warns above it
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", Image.DecompressionBombWarning)
        try:
            yield
        finally:
            Image.MAX_IMAGE_PIXELS = before


def open_picture(data: bytes) -> Image.Image:
    """Open encoded bytes.

    Raises:
        BadPicture: Pillow cannot read it, or it has more pixels than are decoded unasked.
    """
    try:
        picture = Image.open(io.BytesIO(data))
    except UnidentifiedImageError:
        raise BadPicture("is not a picture that Pillow knows") from None
    except Image.DecompressionBombError as error:
        raise BadPicture(too_large(error)) from None
    except Exception as error:  # its plugins raise whatever their parsing runs into
        raise BadPicture(f"cannot be opened: {str(error) or type(error).__name__}") from None
    pixels = picture.width * picture.height
    if pixels > max(_BOMB_PIXELS, _BOMB_RATIO * len(data)):
        size = f"{picture.height}x{picture.width}"
        raise BadPicture(f"says that it has {size} pixels in {len(data)} bytes: it is cut short or a trap")
    return picture


def too_large(error: Exception) -> str:
    """Pillow's words on a picture of too many pixels, with a remedy."""
    found = re.search(r"(\d+) pixels", str(error))
    megapixels = math.ceil(int(found[1]) / 1e6) if found else 0
    remedy = f"`ganforge data pack --max-megapixels {megapixels}` lets it in"
    return f"has {megapixels:,} megapixels, more than are decoded unasked; {remedy}"


def to_pixels(picture: Image.Image, fit: Fit) -> np.ndarray:
    """Decode, turn upright, convert, crop and resize with antialiasing (Lanczos).

    Returns:
        `(height, width, channels)` of `fit.dtype`.

    Raises:
        BadPicture: it is damaged, or of a mode that has no agreed 8-bit form.
    """
    try:
        if fit.dtype != "uint8":
            return _kept(picture, fit)
        if fit.height and picture.format == "JPEG":
            _draft(picture, fit)
        if fit.values is not None:
            picture = _in_range(picture, fit.values)
        picture = ImageOps.exif_transpose(picture)
        picture = _to_mode(picture, fit.channels)
        picture = crop_and_resize(picture, fit)
    except BadPicture:
        raise
    except OutsideRangeError as error:
        raise OutsideRange(str(error)) from None
    except Image.DecompressionBombError as error:
        raise BadPicture(too_large(error)) from None
    except Exception as error:  # as in open_picture
        raise BadPicture(f"is damaged: {str(error) or type(error).__name__}") from None
    pixels = np.asarray(picture, dtype=np.uint8)
    return pixels[:, :, None] if pixels.ndim == 2 else pixels


def _kept(picture: Image.Image, fit: Fit) -> np.ndarray:
    """The same of values that are kept; those of 8-bit pictures are spread over the range."""
    if not has_deep_values(picture):
        values = fit.values if fit.values is not None and applies(fit.values, picture) else None
        return raised(to_pixels(picture, replace(fit, dtype="uint8", values=values)), fit)
    stored = deep_values(picture)
    orientation = picture.getexif().get(_ORIENTATION, 1)  # after the values: a PNG is loaded by it
    has_alpha = stored.ndim == 3 and stored.shape[2] in (2, 4)
    return deep_pixels(stored, fit, has_alpha=has_alpha, orientation=orientation)


def applies(values: ValueRange, picture: Image.Image) -> bool:
    """Whether a range is meant for such a picture, not loaded yet."""
    if has_deep_values(picture):
        return True
    return values.clip and values.is_for_bytes and picture.mode in ("L", "LA", "RGB", "RGBA")


def _in_range(picture: Image.Image, values: ValueRange) -> Image.Image:
    """The picture in 8 bits, its alpha untouched by the range; as it is where the range is not meant for it."""
    if not applies(values, picture):
        return picture
    stored = deep_values(picture)
    orientation = picture.getexif().get(_ORIENTATION, 1)  # after the values: a PNG is loaded by it
    if stored.ndim == 3 and stored.shape[2] in (2, 4):
        alpha = stored[:, :, -1:] if stored.dtype == np.uint8 else (stored[:, :, -1:] >> 8).astype(np.uint8)
        converted = np.concatenate([to_bytes(stored[:, :, :-1], values), alpha], axis=2)
    else:
        converted = to_bytes(stored, values)
    result = Image.fromarray(converted)
    result.getexif()[_ORIENTATION] = orientation
    return result


def _draft(picture: Image.Image, fit: Fit) -> None:
    # libjpeg can decode at 1/2, 1/4 or 1/8. Lanczos still gets four times the pixels it needs, so the
    # result does not visibly differ, and a photograph of 4 megapixels decodes several times faster.
    if fit.crop == "celeba" and picture.size == CELEBA_SIZE:
        return
    picture.draft(None, (4 * fit.width, 4 * fit.height))


def _to_mode(picture: Image.Image, channels: int) -> Image.Image:
    """Grey, RGB or RGBA, 8 bit. Without alpha transparent parts become white, as on a page."""
    mode = picture.mode
    if mode in ("I", "I;16", "I;16B", "I;16L"):
        values = np.asarray(picture).astype(np.int64)
        if values.size and (values.min() < 0 or values.max() > 0xFFFF):
            raise BadPicture(f"has mode {mode} with values outside 16 bits; {SAY_RANGE}")
        picture = Image.fromarray((values >> 8).astype(np.uint8))
    elif mode == "F":
        raise BadPicture(f"has floating-point pixels (mode F) without an agreed range; {SAY_RANGE}")
    elif channels == 4:
        return picture if mode == "RGBA" else picture.convert("RGBA")
    elif mode in ("LA", "La", "PA", "RGBA", "RGBa") or (mode in ("P", "L", "RGB") and "transparency" in picture.info):
        grey = mode in ("LA", "La", "L")
        layer = picture.convert("RGBA")
        page = Image.new("RGBA", layer.size, (255, 255, 255, 255))
        picture = Image.alpha_composite(page, layer).convert("L" if grey else "RGB")
    elif mode == "1":
        picture = picture.convert("L")
    elif mode not in ("L", "RGB"):  # palettes, CMYK, YCbCr, Lab, HSV
        picture = picture.convert("RGB")
    wanted = {0: picture.mode, 1: "L", 3: "RGB", 4: "RGBA"}[channels]
    return picture if picture.mode == wanted else picture.convert(wanted)


def from_array(array: np.ndarray, fit: Fit, *, has_alpha: bool = False) -> np.ndarray:
    """The same for pixels that come as an array, `(height, width)` or `(height, width, channels)`.

    Args:
        array: of any number type if `fit.values` says its range, else bool, uint8 or uint16.
        fit: how it becomes a sample.
        has_alpha: whether the fourth of four channels is opacity. Nobody can tell from the numbers: it may as well
            be infrared, depth, or the black of CMYK.

    Raises:
        BadPicture: its type has no known range, or it has another number of channels.
    """
    if array.ndim == 3 and array.shape[2] == 1:
        array = array[:, :, 0]
    if fit.dtype != "uint8" or fit.channels not in (0, 1, 3):
        return _any_channels(array, fit, has_alpha)
    if array.ndim == 3 and array.shape[2] == 4 and not has_alpha:
        raise BadPicture(f"has 4 channels, and {NOTHING_SAYS_ALPHA}")
    is_known = array.dtype in (bool, np.uint8, np.uint16) or (fit.values is not None and array.dtype.kind in "uif")
    if not is_known or array.ndim not in (2, 3) or (array.ndim == 3 and array.shape[2] not in (3, 4)):
        keep = array.ndim == 3 and array.shape[2] > 1
        remedy = f"; {argument('channels', array.shape[2])} keeps them" if keep else ""
        remedy = remedy if is_known else f"; {SAY_RANGE}"
        raise BadPicture(f"has shape {array.shape} of {array.dtype}, not 8-bit grey, RGB or RGBA{remedy}")
    eight = np.ascontiguousarray(_eight_bits(array, fit.values))
    return to_pixels(Image.fromarray(eight), replace(fit, values=None) if fit.values else fit)


def _any_channels(array: np.ndarray, fit: Fit, has_alpha: bool) -> np.ndarray:
    """An array whose values, or all of whose channels, are kept."""
    is_known = array.dtype in (bool, np.uint8, np.uint16) or (fit.values is not None and array.dtype.kind in "uif")
    if not is_known or array.ndim not in (2, 3) or 0 in array.shape:
        raise BadPicture(f"has shape {array.shape} of {array.dtype}{'' if is_known else f'; {SAY_RANGE}'}")
    has_alpha = has_alpha or (fit.has_alpha and array.ndim == 3 and array.shape[2] == fit.channels)
    if fit.channels not in (0, 1, 3) and array.dtype == np.uint16 and fit.values is None:
        array = (array >> 8).astype(np.uint8)  # as grey and colour without a range
    return deep_pixels(array, fit, has_alpha=has_alpha)


def values_in(data: bytes | np.ndarray, *, with_alpha: bool = False) -> np.ndarray:
    """All bits of the values of a picture, without alpha unless asked for.

    Raises:
        BadPicture: it is damaged or holds no numbers, or Pillow does not give them.
    """
    if isinstance(data, np.ndarray):
        return data
    is_array = data.startswith(MAGIC)
    try:
        stored = array_from(data) if is_array else deep_values(open_picture(data))
    except BadPicture:
        raise
    except Exception as error:  # as in open_picture
        raise BadPicture(f"is damaged: {str(error) or type(error).__name__}") from None
    if stored.dtype.kind not in "buif":
        raise BadPicture(f"holds {stored.dtype}, not numbers")
    has_alpha = not with_alpha and not is_array and stored.ndim == 3 and stored.shape[2] in (2, 4)
    return stored[:, :, :-1] if has_alpha else stored


def _eight_bits(array: np.ndarray, values: ValueRange | None) -> np.ndarray:
    if array.dtype == bool:
        return array.astype(np.uint8) * np.uint8(255)
    if values is None or (array.dtype == np.uint8 and not (values.clip and values.is_for_bytes)):
        return array if array.dtype == np.uint8 else (array >> 8).astype(np.uint8)
    try:
        return to_bytes(array, values)
    except OutsideRangeError as error:
        raise OutsideRange(str(error)) from None
    except ValueError as error:
        raise BadPicture(str(error)) from None


def encode(pixels: np.ndarray, codec: str) -> tuple[str, bytes]:
    """Extension and bytes of `(height, width, channels)` in a codec, always the same bytes.

    JPEG takes uint8, PNG uint16 as well, of one, three or four channels; an array takes everything.
    """
    if codec == "raw":
        return ARRAY_EXTENSION, npy_header(pixels.shape, pixels.dtype) + pixels.tobytes()
    if pixels.dtype == np.uint16:
        return "png", png16(pixels)
    buffer = io.BytesIO()
    picture = Image.fromarray(pixels[:, :, 0] if pixels.shape[2] == 1 else pixels)
    if codec == "png":
        picture.save(buffer, "PNG", compress_level=4)
        return "png", buffer.getvalue()
    picture.save(buffer, "JPEG", quality=95, subsampling=0)
    return "jpg", buffer.getvalue()


@cache
def npy_header(shape: tuple[int, ...], dtype: np.dtype = _BYTE) -> bytes:
    """What NumPy writes before values in C order; made once, since it costs as much as writing them."""
    buffer = io.BytesIO()
    np.lib.format.write_array_header_1_0(buffer, {"descr": dtype.str, "fortran_order": False, "shape": shape})
    return buffer.getvalue()


def is_picture_name(name: str | os.PathLike[str]) -> bool:
    """Whether the name ends like a picture's."""
    return os.path.splitext(name)[1][1:].lower() in EXTENSIONS
