"""One chunk of a pack: pictures in, a piece of a tar out. This is what worker processes run."""

import tarfile
from functools import cache
from typing import NamedTuple

import numpy as np

from ganforge.arguments import argument
from ganforge.data.conversions import Conversions, array_conversions, conversions, counted_in
from ganforge.data.header import has_deep_values
from ganforge.data.pictures import (
    MAX_PIXELS,
    BadPicture,
    Fit,
    OutsideRange,
    applies,
    encode,
    from_array,
    open_picture,
    pixel_limit,
    to_pixels,
)
from ganforge.data.shards.tarindex import BLOCK, Member, Sample
from ganforge.data.sources.base import Item, Source
from ganforge.errors import DataError

CHUNK = 64
_UNKNOWN_RANGE = "has {}, unlike the pictures that were looked at"
_KEPT_FORMATS = {"JPEG": "jpg", "PNG": "png", "WEBP": "webp"}


class Job(NamedTuple):
    """What a worker must know, the same for all chunks.

    Attributes:
        source: the pictures.
        fit: how they become samples.
        codec: how samples are stored.
        keep: whether pictures that fit already stay untouched.
        max_pixels: larger pictures are refused.
    """

    source: Source
    fit: Fit
    codec: str
    keep: bool
    max_pixels: int = MAX_PIXELS


class Chunk(NamedTuple):
    """A piece of a tar without its end mark.

    Attributes:
        tar: whole members, each padded to blocks.
        samples: their places, from the beginning of the piece.
        labels: one a sample, -1 without one.
        bad: name and reason of each picture that was left out.
        codecs: what the pictures were stored as.
        conversions: what was done to pictures, by kind.
    """

    tar: bytes
    samples: list[Sample]
    labels: list[int]
    bad: list[tuple[str, str]]
    codecs: list[str]
    conversions: Conversions


_job: Job | None = None


def start_worker(job: Job) -> None:
    """Initializer of a worker process."""
    global _job
    _job = job


def work(start: int, stop: int) -> Chunk:
    """Pack pictures [start, stop) in a worker process."""
    assert _job is not None
    return pack_chunk(_job, start, stop)


def pack_chunk(job: Job, start: int, stop: int) -> Chunk:
    """Pack pictures [start, stop) of a source; the bytes depend on nothing else.

    Raises:
        DataError: a picture holds other values than those that the plan was made for.
    """
    with pixel_limit(job.max_pixels):
        return _pack_chunk(job, start, stop)


def _pack_chunk(job: Job, start: int, stop: int) -> Chunk:
    chunk = Chunk(b"", [], [], [], [], {})
    pieces: list[bytes] = []
    position = 0
    for index in range(start, stop):
        name = job.source.known_as(index)
        try:
            item = job.source.item(index)
            name = item.name
            extension, data, kinds = picture_bytes(job, item)
        except OutsideRange as error:
            raise DataError(f"{name}: {error}; pack again with {argument('values', 'LOW,HIGH')}") from None
        except BadPicture as error:
            chunk.bad.append((name, str(error)))
            continue
        except OSError as error:
            chunk.bad.append((name, f"cannot be read: {error.strerror or error}"))
            continue
        counted_in(chunk.conversions, kinds, name)
        members = {extension: data}
        if job.source.classes:
            members["cls"] = str(item.label).encode()
        sample: Sample = []
        for ending in sorted(members):  # the order in which TarWriter writes them
            place = Member(ending, position + BLOCK, len(members[ending]), f"{index:09d}.{ending}")
            pieces.append(tar_member(place.name, members[ending]))
            sample.append(place)
            position += len(pieces[-1])
        chunk.samples.append(sample)
        chunk.labels.append(item.label)
        chunk.codecs.append(extension)
    return chunk._replace(tar=b"".join(pieces))


def tar_member(name: str, data: bytes) -> bytes:
    """A file in a tar as TarWriter writes it: header, bytes, and zeros up to a whole block.

    The header is TarWriter's own with name, size and checksum replaced: building it for each of two
    members took a fifth of all packing time.
    """
    header = bytearray(tar_header())
    header[: len(name)] = name.encode("ascii")
    header[124:135] = b"%011o" % len(data)
    header[148:156] = b" " * 8
    header[148:156] = b"%06o\0 " % sum(header)
    return b"".join((header, data, bytes(-len(data) % BLOCK)))


@cache
def tar_header() -> bytes:
    """The header that webdataset's TarWriter gives a file with `mtime=0`, its name blank.

    Made here, since importing webdataset imports torch, which costs every worker seconds; that shards are
    TarWriter's byte for byte is tested.
    """
    info = tarfile.TarInfo("name")
    info.mode, info.uname, info.gname = 0o444, "bigdata", "bigdata"
    return bytes(100) + info.tobuf(tarfile.USTAR_FORMAT)[100:BLOCK]


def picture_bytes(job: Job, item: Item) -> tuple[str, bytes, tuple[str, ...]]:
    """Extension and bytes under which one picture is stored, and what was done to it.

    Raises:
        BadPicture: it cannot be used.
        OutsideRange: it has values that the plan does not know of.
    """
    data, fit = item.data, job.fit
    if isinstance(data, np.ndarray):
        if data.dtype not in (np.uint8, bool) and fit.values is None:
            raise OutsideRange(_UNKNOWN_RANGE.format(f"{data.dtype} values"))
        pixels = from_array(data, fit, has_alpha=item.has_alpha)
        return *encode(pixels, job.codec), array_conversions(data, fit, item.has_alpha)
    picture = open_picture(data)
    deep = has_deep_values(picture)
    if deep and fit.values is None:
        raise OutsideRange(_UNKNOWN_RANGE.format("more than 8 bits a channel"))
    in_range = fit.values is None or not applies(fit.values, picture)
    kept = _KEPT_FORMATS.get(picture.format or "")
    orientation = picture.getexif().get(0x0112, 1)
    if deep:
        picture = open_picture(data)  # again: EXIF data of a PNG are found by loading it, in 8 bits
    mode = {1: "L", 3: "RGB", 4: "RGBA"}.get(fit.channels)
    size = (fit.width, fit.height)
    untouched = job.keep and kept is not None and picture.mode == mode and picture.size == size
    untouched = untouched and orientation == 1 and in_range and fit.dtype == "uint8"
    kinds = conversions(picture, fit, orientation, deep)
    pixels = to_pixels(picture, fit)  # decoded even when kept, so that no damaged picture gets in
    return (kept, data, kinds) if untouched and kept else (*encode(pixels, job.codec), kinds)
