"""Writes one shard out of pieces of tar, hashing and indexing on the way."""

import hashlib
import os
from pathlib import Path

import numpy as np

from ganforge.data.pictures import ARRAY_EXTENSION
from ganforge.data.shards.manifest import Shard
from ganforge.data.shards.tarindex import BLOCK, Sample, format_idx

_RECORD = 20 * BLOCK  # tars end at a multiple of this, as TarWriter's and GNU tar's do


class ShardWriter:
    """A tar that appears under its name only when it is complete and on the disk.

    Args:
        path: of the shard; its `.idx` is written beside it.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.size = 0
        self._samples: list[Sample] = []
        self._hash = hashlib.sha256()
        self._temporary = path.with_suffix(".tmp")
        self._file = open(self._temporary, "wb")  # noqa: SIM115 - closed by close()

    def add(self, tar: bytes, samples: list[Sample]) -> None:
        """Append whole members; the samples' offsets count from the beginning of `tar`."""
        self._write(tar)
        base = self.size - len(tar)
        self._samples += [[m._replace(offset=m.offset + base) for m in sample] for sample in samples]

    def close(self) -> Shard:
        """End the tar, put it and its index in place, and describe it."""
        end = self.size + 2 * BLOCK
        self._write(bytes(-(-end // _RECORD) * _RECORD - self.size))
        self._file.flush()
        os.fsync(self._file.fileno())
        self._file.close()
        first, stride = raw_layout(self._samples)
        shard = Shard(
            name=self.path.name,
            count=len(self._samples),
            bytes=self.size,
            sha256=self._hash.hexdigest(),
            first=first,
            stride=stride,
        )
        self.path.with_suffix(".idx").write_text(format_idx(self._samples))
        os.replace(self._temporary, self.path)
        return shard

    def _write(self, data: bytes) -> None:
        self._file.write(data)
        self._hash.update(data)
        self.size += len(data)


def raw_layout(samples: list[Sample]) -> tuple[int, int]:
    """Offset of the first array and distance between arrays of a raw shard; (0, 0) if there is no such layout."""
    places = [[m for m in sample if m.extension == ARRAY_EXTENSION] for sample in samples]
    if not places or any(len(place) != 1 for place in places) or len({place[0].size for place in places}) != 1:
        return 0, 0
    offsets = np.array([place[0].offset for place in places])
    strides = np.unique(np.diff(offsets))
    if len(strides) > 1:
        return 0, 0
    size = BLOCK + -(-places[0][0].size // BLOCK) * BLOCK
    return int(offsets[0]), int(strides[0]) if len(strides) else size
