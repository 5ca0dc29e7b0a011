"""What a pack will do, decided before the first picture is written."""

import os
from dataclasses import asdict, dataclass, replace
from typing import Any, Literal

import numpy as np

from ganforge.arguments import argument
from ganforge.data.fitting import Crop
from ganforge.data.header import is_colour
from ganforge.data.pictures import (
    MAX_PIXELS,
    BadPicture,
    Fit,
    from_array,
    open_picture,
    pixel_limit,
    to_pixels,
)
from ganforge.data.planvalues import Depth, plan_values, sight
from ganforge.data.sources.base import Source
from ganforge.data.values import ValueRange
from ganforge.errors import DataError
from ganforge.wording import counted

Codec = Literal["auto", "raw", "png", "jpeg", "keep"]
_RAW_UP_TO = 64
_PROBES = 64
_SHARD_BYTES = 128_000_000


@dataclass(frozen=True)
class PackOptions:
    """The options of `ganforge data pack`.

    Args:
        size: `(height, width)` of the result; None for that of the first picture (after CelebA's crop).
        crop: how other proportions are met, see `pictures.Fit`.
        codec: `auto` is raw up to 64 pixels; above, untouched bytes of pictures that have the size, else PNG.
        shard_bytes: size at which a shard is closed.
        workers: processes; 0 for one a core.
        channels: 1, 3, 4 with alpha, or as many as arrays have; 0 for 1 if all pictures are grey, else 3.
        limit: pack only the first `limit` pictures; 0 for all.
        max_bad: pictures that may be left out, a number or a share in percent such as `1%`.
        values: those that become black and white where there are more than 8 bits; None to find out.
        dtype: as what values are stored; `auto` keeps them, and `uint8` makes 8 bits of all.
        max_pixels: pictures of more are not decoded.
    """

    size: tuple[int, int] | None = None
    crop: Crop = "center"
    codec: Codec = "auto"
    shard_bytes: int = _SHARD_BYTES
    workers: int = 0
    channels: int = 0
    limit: int = 0
    max_bad: str = "1%"
    values: ValueRange | None = None
    dtype: Depth = "auto"
    max_pixels: int = MAX_PIXELS


@dataclass(frozen=True)
class PackPlan:
    """Everything that decides the bytes of a pack, and the number of workers, which does not."""

    fingerprint: str
    count: int
    classes: tuple[str, ...]
    fit: Fit
    codec: Literal["raw", "png", "jpeg"]
    keep: bool
    shard_bytes: int
    max_bad: int
    workers: int
    max_pixels: int
    rules: tuple[str, ...]

    def to_dict(self) -> dict[str, Any]:
        """What must agree for a killed pack to go on."""
        return {key: value for key, value in asdict(self).items() if key not in ("workers", "max_bad")}

    def for_people(self) -> dict[str, Any]:
        """What the manifest remembers of the options."""
        table = {"crop": self.fit.crop, "codec": "keep" if self.keep else self.codec, "shard_bytes": self.shard_bytes}
        if self.fit.dtype != "uint8":
            table["dtype"] = self.fit.dtype
        return table if self.fit.values is None else {**table, "range": list(self.fit.values[:2])}


def make_plan(source: Source, options: PackOptions) -> PackPlan:
    """Look at headers, and at the first picture that can be used, and fill in what the options leave open.

    Raises:
        DataError: the source is empty, its first pictures are all unusable, or their values have no known range.
    """
    count = min(len(source), options.limit) if options.limit else len(source)
    if count < 1:
        raise DataError("the source holds no pictures")
    rules = list(source.rules)
    with pixel_limit(options.max_pixels):
        values, dtype = plan_values(source, count, options.values, options.dtype, rules)
        channels = options.channels or _channels(source, count, rules)
        fit = Fit(0, 0, options.crop, channels, values, dtype, _has_alpha(source, channels))
        height, width = options.size or _size(source, min(count, _PROBES), fit, rules)
    if options.crop == "pad":
        rules.append("other proportions: padded to size with the median colour of each picture's own edge")
    fit = replace(fit, height=height, width=width)
    codec, keep = _codec(options.codec, fit)
    return PackPlan(
        fingerprint=source.fingerprint,
        count=count,
        classes=source.classes,
        fit=fit,
        codec=codec,
        keep=keep,
        shard_bytes=options.shard_bytes,
        max_bad=_allowance(options.max_bad, count),
        workers=options.workers or len(os.sched_getaffinity(0)),
        max_pixels=options.max_pixels,
        rules=tuple(rules),
    )


def _codec(wanted: Codec, fit: Fit) -> tuple[Literal["raw", "png", "jpeg"], bool]:
    """How samples are stored, and whether files that fit already stay untouched.

    Raises:
        DataError: the codec cannot hold such samples.
    """
    has_png = fit.dtype != "float32" and (fit.channels in (1, 3) or (fit.channels == 4 and fit.has_alpha))
    if wanted == "auto":
        return ("raw", False) if max(fit.height, fit.width) <= _RAW_UP_TO or not has_png else ("png", True)
    if wanted == "keep":
        return ("png", True) if has_png else ("raw", False)
    if (wanted == "png" and not has_png) or (wanted == "jpeg" and (fit.dtype != "uint8" or fit.channels not in (1, 3))):
        raise DataError(
            f"{argument('codec', wanted)}: has no form for {fit.dtype} in {counted(fit.channels, 'channel')}; "
            f"take {argument('codec', 'raw')}"
        )
    return wanted, False


def _has_alpha(source: Source, channels: int) -> bool:
    """Whether the last channel will be opacity: that of pictures, and of arrays whose source says so.

    Raises:
        DataError: the pictures have other channels.
    """
    if channels in (0, 1, 3):
        return False
    try:
        item = source.item(0)
    except (BadPicture, OSError):
        return channels == 4  # said when it is packed
    array = item.data
    if isinstance(array, np.ndarray) and array.ndim == 3 and array.shape[2] == channels and not item.has_alpha:
        return False
    if channels != 4:
        raise DataError(
            f"{argument('channels', channels)}: give 1 for grey, 3 for RGB, 4 for alpha, 0 to take what comes, or the "
            f"number that arrays have; {item.name} has another"
        )
    return True


def _has_colour(source: Source, index: int) -> bool:
    try:
        start = source.start(index)
    except (BadPicture, OSError):
        return False  # said when it is packed
    colour = is_colour(start) if isinstance(start, bytes) else None
    if colour is None:
        seen = sight(source, index)
        return seen is not None and seen[0]
    return colour


def _channels(source: Source, count: int, rules: list[str]) -> int:
    """3 if any picture has colour, else 1; the first one with colour ends the search."""
    for index in range(1 if source.is_uniform else count):
        if _has_colour(source, index):
            if index:
                first = source.item(index).name
                rules.append(f"grey and colour are mixed, so all become RGB: {first} has colour, picture 1 does not")
            return 3
    return 1


def _size(source: Source, count: int, fit: Fit, rules: list[str]) -> tuple[int, int]:
    """Height and width of the first picture that can be used."""
    if fit.crop in ("center", "pad"):
        fit = replace(fit, crop="none")  # the proportions wanted are its own
    reason = ""
    for index in range(count):
        name = f"picture {index}"
        try:
            item = source.item(index)
            name, data = item.name, item.data
            if isinstance(data, np.ndarray):
                height, width = from_array(data, fit, has_alpha=item.has_alpha).shape[:2]
            else:
                height, width = to_pixels(open_picture(data), fit).shape[:2]
        except (BadPicture, OSError) as error:
            reason = reason or f"{name} {error}"
            continue
        rules.append(f"size: {height}x{width} (height x width), that of the first picture, {name}")
        return height, width
    raise DataError(f"none of the first {count} pictures can be used: {reason}")


def _allowance(text: str, count: int) -> int:
    try:
        allowed = float(text[:-1]) / 100 * count if text.endswith("%") else float(text)
    except ValueError:
        allowed = -1
    if not allowed >= 0 or (text.endswith("%") and allowed > count):
        raise DataError(f"{argument('max_bad', text)}: give a number such as 20, or a share up to 100% such as 1%")
    return int(allowed)


def parse_size(text: str) -> tuple[int, int] | None:
    """`64` or `48x64` (height x width) as a pair, None for nothing.

    Raises:
        DataError: it is neither.
    """
    if not text:
        return None
    parts = text.lower().split("x")
    if len(parts) > 2 or not all(part.isdigit() and 0 < int(part) <= 16384 for part in parts):
        raise DataError(f"{argument('size', text)}: give 64, or 48x64 for height x width")
    return int(parts[0]), int(parts[-1])


def parse_bytes(text: str) -> int:
    """`128MB`, `1GB` or a number of bytes.

    Raises:
        DataError: it is none of these.
    """
    units = {"": 1, "KB": 1_000, "MB": 1_000_000, "GB": 1_000_000_000}
    number = text.strip().upper().rstrip("KMGB")
    unit = text.strip().upper()[len(number) :]
    try:
        value = int(float(number) * units[unit])
    except (ValueError, KeyError):
        value = 0
    if value < 1:
        raise DataError(f"{argument('shard_size', text)}: give a size such as 128MB or 1GB")
    return value
