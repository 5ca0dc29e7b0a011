"""What a pack will do, decided before the first picture is written."""

import os
from dataclasses import asdict, dataclass
from typing import Any, Literal

import numpy as np

from ganforge.data.pictures import BadPicture, Crop, Fit, from_array, open_picture, to_pixels
from ganforge.data.sources.base import Source
from ganforge.errors import DataError

Codec = Literal["auto", "raw", "png", "jpeg", "keep"]
_RAW_UP_TO = 64
_PROBES = 64
_SHARD_BYTES = 128_000_000


@dataclass(frozen=True)
class PackOptions:
    """The options of `ganforge data pack`.

    Args:
        size: `(height, width)` of the result; None for that of the first picture.
        crop: how other proportions are met, see `pictures.Fit`.
        codec: `auto` is raw up to 64 pixels; above, untouched bytes of pictures that have the size, else PNG.
        shard_bytes: size at which a shard is closed.
        workers: processes; 0 for one a core.
        channels: 1 or 3; 0 for 1 if the first pictures are all grey, else 3.
        limit: pack only the first so many pictures; 0 for all.
        max_bad: pictures that may be left out, a number or a share in percent such as `1%`.
    """

    size: tuple[int, int] | None = None
    crop: Crop = "center"
    codec: Codec = "auto"
    shard_bytes: int = _SHARD_BYTES
    workers: int = 0
    channels: int = 0
    limit: int = 0
    max_bad: str = "1%"


@dataclass(frozen=True)
class Plan:
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

    def to_dict(self) -> dict[str, Any]:
        """What must agree for a killed pack to go on."""
        return {key: value for key, value in asdict(self).items() if key not in ("workers", "max_bad")}

    def for_people(self) -> dict[str, Any]:
        """What the manifest remembers of the options."""
        return {"crop": self.fit.crop, "codec": "keep" if self.keep else self.codec, "shard_bytes": self.shard_bytes}


def make_plan(source: Source, options: PackOptions) -> Plan:
    """Look at the first pictures of a source and fill in what the options leave open.

    Raises:
        DataError: the source is empty or its first pictures are all unusable.
    """
    count = min(len(source), options.limit) if options.limit else len(source)
    if count < 1:
        raise DataError("the source holds no pictures")
    channels, size = options.channels, options.size
    if not channels or size is None:
        shapes = _probe(source, min(count, _PROBES), options.crop)
        channels = channels or (1 if all(shape[2] == 1 for shape in shapes) else 3)
        size = size or shapes[0][:2]
    is_small = max(size) <= _RAW_UP_TO
    codec: Literal["raw", "png", "jpeg"]
    if options.codec == "auto":
        codec, keep = ("raw", False) if is_small else ("png", True)
    elif options.codec == "keep":
        codec, keep = "png", True
    else:
        codec, keep = options.codec, False
    return Plan(
        fingerprint=source.fingerprint,
        count=count,
        classes=source.classes,
        fit=Fit(size[0], size[1], options.crop, channels),
        codec=codec,
        keep=keep,
        shard_bytes=options.shard_bytes,
        max_bad=_allowance(options.max_bad, count),
        workers=options.workers or len(os.sched_getaffinity(0)),
    )


def _probe(source: Source, count: int, crop: Crop) -> list[tuple[int, int, int]]:
    shapes, reason = [], ""
    for index in range(count):
        name = f"picture {index}"
        try:
            name, data = (item := source.item(index)).name, item.data
            fit = Fit(crop=crop)
            pixels = from_array(data, fit) if isinstance(data, np.ndarray) else to_pixels(open_picture(data), fit)
        except BadPicture as error:
            reason = reason or f"{name} {error}"
            continue
        shapes.append(pixels.shape)
    if not shapes:
        raise DataError(f"none of the first {count} pictures can be used: {reason}")
    return shapes


def _allowance(text: str, count: int) -> int:
    try:
        allowed = float(text[:-1]) / 100 * count if text.endswith("%") else float(text)
    except ValueError:
        allowed = -1
    if not allowed >= 0 or (text.endswith("%") and allowed > count):
        raise DataError(f"--max-bad '{text}': give a number such as 20, or a share up to 100% such as 1%")
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
        raise DataError(f"--size '{text}': give 64, or 48x64 for height x width")
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
        raise DataError(f"--shard-size '{text}': give a size such as 128MB or 1GB")
    return value
