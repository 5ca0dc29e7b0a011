"""One chunk of a pack: pictures in, a piece of a tar out. This is what worker processes run."""

import io
from typing import NamedTuple

import numpy as np
from webdataset.writer import TarWriter

from ganforge.data.pictures import BadPicture, Fit, encode, from_array, open_picture, to_pixels
from ganforge.data.sources.base import Source
from ganforge.data.tarindex import BLOCK, Member, Sample

CHUNK = 64
_KEPT_FORMATS = {"JPEG": "jpg", "PNG": "png", "WEBP": "webp"}


class Job(NamedTuple):
    """What a worker must know, the same for all chunks."""

    source: Source
    fit: Fit
    codec: str
    keep: bool


class Chunk(NamedTuple):
    """A piece of a tar without its end mark.

    Attributes:
        tar: whole members, each padded to blocks.
        samples: their places, from the beginning of the piece.
        labels: one a sample, -1 without one.
        bad: name and reason of each picture that was left out.
        codecs: what the pictures were stored as.
    """

    tar: bytes
    samples: list[Sample]
    labels: list[int]
    bad: list[tuple[str, str]]
    codecs: list[str]


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
    """Pack pictures [start, stop) of a source; the bytes depend on nothing else."""
    buffer = io.BytesIO()
    chunk = Chunk(b"", [], [], [], [])
    writer = TarWriter(buffer, encoder=False, mtime=0)
    for index in range(start, stop):
        name = f"picture {index}"
        try:
            item = job.source.item(index)
            name = item.name
            extension, data = picture_bytes(job, item.data)
        except BadPicture as error:
            chunk.bad.append((name, str(error)))
            continue
        except OSError as error:
            chunk.bad.append((name, f"cannot be read: {error.strerror or error}"))
            continue
        sample: dict[str, str | bytes] = {"__key__": f"{index:09d}", extension: data}
        if job.source.classes:
            sample["cls"] = str(item.label).encode()
        chunk.samples.append(_write(writer, sample))
        chunk.labels.append(item.label)
        chunk.codecs.append(extension)
    end = writer.tarstream.offset
    writer.close()
    return chunk._replace(tar=buffer.getvalue()[:end])


def _write(writer: TarWriter, sample: dict[str, str | bytes]) -> Sample:
    position = writer.tarstream.offset
    writer.write(sample)
    places: Sample = []
    for extension in sorted(name for name in sample if name != "__key__"):
        size = len(sample[extension])
        places.append(Member(extension, position + BLOCK, size, f"{sample['__key__']}.{extension}"))
        position += BLOCK + (size + BLOCK - 1) // BLOCK * BLOCK
    assert position == writer.tarstream.offset, "members are not where the index says"
    return places


def picture_bytes(job: Job, data: bytes | np.ndarray) -> tuple[str, bytes]:
    """Extension and bytes under which one picture is stored.

    Raises:
        BadPicture: it cannot be used.
    """
    if isinstance(data, np.ndarray):
        return encode(from_array(data, job.fit), job.codec)
    picture = open_picture(data)
    kept = _KEPT_FORMATS.get(picture.format or "")
    upright = picture.getexif().get(0x0112, 1) == 1
    mode = {1: "L", 3: "RGB"}[job.fit.channels]
    size = (job.fit.width, job.fit.height)
    untouched = job.keep and kept is not None and upright and picture.mode == mode and picture.size == size
    pixels = to_pixels(picture, job.fit)  # decoded even when kept, so that no damaged picture gets in
    return (kept, data) if untouched and kept else encode(pixels, job.codec)
