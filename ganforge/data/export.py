"""Shards back to a folder of pictures, class by class."""

import re
from collections.abc import Callable
from pathlib import Path

import numpy as np

from ganforge.data.pictures import EXTENSIONS, BadPicture
from ganforge.data.shards.dataset import ShardDataset
from ganforge.data.valuefile import value_file
from ganforge.errors import DataError


def export(dataset: ShardDataset, out: Path, limit: int = 0, progress: Callable[[int, int], None] | None = None) -> int:
    """Write each sample as a picture file: stored pictures byte for byte, arrays in a form that keeps their values.

    Files are numbered, never named after members of a tar, so no shard can place a file elsewhere.

    Args:
        dataset: what to write.
        out: a folder that is new or empty.
        limit: only the first `limit` samples; 0 for all.
        progress: called with pictures done and pictures in all.

    Returns:
        the number of files written.

    Raises:
        DataError: the folder is not empty, or a sample cannot be read.
    """
    if out.exists() and any(out.iterdir()):
        raise DataError(f"{out}: is not empty; give a new folder")
    count = min(limit, len(dataset)) if limit else len(dataset)
    folders = [out / _safe(name, number) for number, name in enumerate(dataset.spec.classes)]
    row = np.empty((1, *dataset.row_shape), dataset.dtype)
    for sample in range(count):
        folder = out if dataset.labels is None else folders[int(dataset.labels[sample])]
        folder.mkdir(parents=True, exist_ok=True)
        try:
            data = bytes(dataset.encoded(sample))
        except BadPicture as error:
            raise DataError(f"{dataset.key(sample)}: {error}; run `ganforge data verify`") from None
        extension = _extension(data)
        if extension is None:
            problems = dataset.read(np.array([sample]), row)
            if problems:
                raise DataError(f"{problems[0]}; run `ganforge data verify`")
            extension, data = value_file(row[0], has_alpha=dataset.spec.has_alpha)
        (folder / f"{sample:09d}.{extension}").write_bytes(data)
        if progress is not None and (sample % 256 == 255 or sample == count - 1):
            progress(sample + 1, count)
    return count


def _safe(name: str, number: int) -> str:
    safe = re.sub(r"[^\w.+ -]", "_", name).strip(". ")
    return safe or f"class-{number}"


def _extension(data: bytes) -> str | None:
    """Extension of encoded bytes, None for arrays."""
    for extension, mark in (("jpg", b"\xff\xd8\xff"), ("png", b"\x89PNG"), ("gif", b"GIF8"), ("bmp", b"BM")):
        if data.startswith(mark):
            assert extension in EXTENSIONS
            return extension
    return "webp" if data[:4] == b"RIFF" and data[8:12] == b"WEBP" else None
