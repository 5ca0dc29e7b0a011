"""Pictures whose values are kept: more than 8 bits, floating point, or channels that Pillow has no mode for.

Values stay what they are unless the picture is resized, and none leaves the range that is said to become -1 to 1.
"""

import numpy as np
from PIL import Image

from ganforge.data.fitting import BadPicture, Fit, OutsideRange, bordered, placement
from ganforge.data.values import ValueRange
from ganforge.spec import RANGES

_LUMA = (0.299, 0.587, 0.114)
"""Grey of red, green and blue (ITU-R BT.601), as Pillow has it."""


def deep_pixels(stored: np.ndarray, fit: Fit, *, has_alpha: bool = False, orientation: int = 1) -> np.ndarray:
    """Turn upright, bring into range, convert, cut and resize with antialiasing (Lanczos).

    Args:
        stored: `(height, width)` or `(height, width, channels)` of any number type.
        fit: how it becomes a sample.
        has_alpha: whether the last channel is opacity.
        orientation: of EXIF data; 1 is upright.

    Returns:
        `(height, width, channels)` of `fit.dtype`.

    Raises:
        BadPicture: it has other channels than are wanted, or values that are not finite.
        OutsideRange: a value lies outside of a range that does not clip.
    """
    stored = upright(stored[:, :, None] if stored.ndim == 2 else stored, orientation)
    limits = fit.values or ValueRange(*RANGES[fit.dtype])
    colours, alpha = (stored[:, :, :-1], stored[:, :, -1:]) if has_alpha else (stored, None)
    values = _in_range(colours, fit, limits)
    low, high = (0, 255) if fit.dtype == "uint8" else (limits.low, limits.high)
    opacity = None if alpha is None else alpha / (np.iinfo(alpha.dtype).max if alpha.dtype.kind == "u" else 1.0)
    if opacity is not None and not fit.has_alpha:
        values = values * opacity + high * (1 - opacity)  # on white, as on a page
        opacity = None
    values = _with_channels(values, fit)
    if fit.has_alpha:
        opacity = np.ones((*values.shape[:2], 1)) if opacity is None else opacity
    return _typed(*_placed(values, opacity, fit), fit, low, high)


def raised(pixels: np.ndarray, fit: Fit) -> np.ndarray:
    """8-bit pixels among pictures of other values: black becomes the lowest value, white the highest."""
    low, high, _ = fit.values or ValueRange(*RANGES[fit.dtype])
    return _rounded(pixels / 255 * (high - low) + low, fit)


def upright(stored: np.ndarray, orientation: int) -> np.ndarray:
    """An array `(height, width, channels)` turned as EXIF's orientation 1 to 8 says."""
    if orientation in (5, 6, 7, 8):
        stored = stored.transpose(1, 0, 2)
    if orientation in (3, 4, 7, 8):
        stored = stored[::-1]
    return stored[:, ::-1] if orientation in (2, 3, 6, 7) else stored


def _in_range(values: np.ndarray, fit: Fit, limits: ValueRange) -> np.ndarray:
    """The values, brought into the range: cut off at its ends, or refused, or of 8 bits and spread over it."""
    if values.dtype == bool or (values.dtype == np.uint8 and not (limits.clip and limits.is_for_bytes)):
        eight = values.astype(np.uint8) * np.uint8(255) if values.dtype == bool else values
        return eight if fit.dtype == "uint8" else raised(eight, fit)
    if values.dtype.kind == "f" and not np.isfinite(values).all():
        raise BadPicture("holds values that are not finite")
    if not limits.clip and values.size and (values.min() < limits.low or values.max() > limits.high):
        outside = values.max() if values.max() > limits.high else values.min()
        raise OutsideRange(f"holds {outside}, outside of the range {limits} of the pictures that were looked at")
    kept = np.clip(values.astype(np.float64), limits.low, limits.high)
    if fit.dtype == "uint8":
        return np.rint((kept - limits.low) / (limits.high - limits.low) * 255)
    return kept


def _with_channels(values: np.ndarray, fit: Fit) -> np.ndarray:
    """As many colours as are wanted: grey repeated, or red, green and blue mixed."""
    have = values.shape[2]
    wanted = fit.channels - fit.has_alpha if fit.channels else have
    if have == wanted:
        return values
    if have == 1:
        return np.repeat(values, wanted, axis=2)
    if (have, wanted) == (3, 1):
        return values @ np.array(_LUMA)[:, None]
    raise BadPicture(f"has {have} channels, and {wanted} are wanted")


def _placed(values: np.ndarray, opacity: np.ndarray | None, fit: Fit) -> tuple[np.ndarray, np.ndarray | None]:
    """Cut, resized and padded. Colours are weighed with their opacity meanwhile, or invisible ones would bleed."""
    height, width = values.shape[:2]
    place = placement(width, height, fit)
    if place.box is not None:
        left, top, right, bottom = place.box
        values = values[top:bottom, left:right]
        opacity = None if opacity is None else opacity[top:bottom, left:right]
    if (values.shape[1], values.shape[0]) != place.size:
        if opacity is None:
            values = _resized(values, place.size)
        else:
            weighed, opacity = _resized(values * opacity, place.size), np.clip(_resized(opacity, place.size), 0, 1)
            values = np.divide(weighed, opacity, out=np.zeros_like(weighed), where=opacity > 1e-6)
    if fit.height and (values.shape[1], values.shape[0]) != (fit.width, fit.height):
        together = bordered(values if opacity is None else np.concatenate([values, opacity], axis=2), place, fit)
        values, opacity = (together, None) if opacity is None else (together[:, :, :-1], together[:, :, -1:])
    return values, opacity


def _resized(values: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    layers = (Image.fromarray(np.ascontiguousarray(layer, np.float32)) for layer in np.moveaxis(values, 2, 0))
    return np.stack([np.asarray(layer.resize(size, Image.Resampling.LANCZOS), np.float64) for layer in layers], axis=2)


def _typed(values: np.ndarray, opacity: np.ndarray | None, fit: Fit, low: float, high: float) -> np.ndarray:
    values = np.clip(values, low, high)  # Lanczos overshoots
    if opacity is not None:
        values = np.concatenate([values, opacity * (high - low) + low], axis=2)
    return _rounded(values, fit)


def _rounded(values: np.ndarray, fit: Fit) -> np.ndarray:
    return (values if fit.dtype == "float32" else np.rint(values)).astype(fit.dtype)
