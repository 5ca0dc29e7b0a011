"""One shard on disk, mapped, and its samples by number."""

import math
import mmap
from collections.abc import Callable
from pathlib import Path

import numpy as np

from ganforge.data.dataset import Unreadable
from ganforge.data.decode import decode_into
from ganforge.data.limits import PICTURE_BYTES, in_bytes
from ganforge.data.npy import array_from
from ganforge.data.pictures import ARRAY_EXTENSION, EXTENSIONS, BadPicture, Fit, from_array, npy_header
from ganforge.data.shards.manifest import Shard
from ganforge.data.shards.tarindex import Sample, parse_idx, read_idx
from ganforge.data.tarheader import BLOCK, announces
from ganforge.errors import DataError

_BYTE = np.dtype(np.uint8)


def picture_member(sample: Sample, image_key: str = "") -> int:
    """Which member of a sample is the picture: the named one, else the first that can be; -1 if none is."""
    for number, member in enumerate(sample):
        extension = member.extension.lower()
        if image_key and extension == image_key:
            return number
        if not image_key and (extension.rsplit(".", 1)[-1] in EXTENSIONS or extension == ARRAY_EXTENSION):
            return number
    return -1


class OpenShard:
    """A shard that is mapped into memory.

    Args:
        tar: the file.
        idx: says where its index is; asked only when the index is needed.
        shard: what the manifest says of it.
        row_shape: `(height, width, channels)` of a decoded sample.
        dtype: of its values.
        image_key: see `Manifest`.

    Raises:
        DataError: file and manifest disagree.
    """

    def __init__(
        self,
        tar: Path,
        idx: Callable[[], Path],
        shard: Shard,
        row_shape: tuple[int, ...],
        image_key: str = "",
        dtype: np.dtype = _BYTE,
    ) -> None:
        self.name = shard.name
        self.count = shard.count
        try:
            size = tar.stat().st_size
        except FileNotFoundError:
            raise DataError(f"{tar}: the shard is missing; copy it again or pack the dataset again") from None
        if size != shard.bytes:
            kind = "truncated" if size < shard.bytes else "changed"
            raise DataError(
                f"{tar}: has {size} bytes, the manifest says {shard.bytes}: the shard is {kind}; copy it again"
            )
        self._idx = idx
        self._image_key = image_key
        self._table: tuple[np.ndarray, np.ndarray] | None = None
        try:
            with open(tar, "rb") as file:
                self._map = mmap.mmap(file.fileno(), size, access=mmap.ACCESS_READ)
        except (OSError, ValueError) as error:
            raise DataError(f"{tar}: cannot be read: {getattr(error, 'strerror', '') or error}") from error
        self._bytes = np.frombuffer(self._map, np.uint8)
        self._rows = self._strided(shard, row_shape, dtype) if shard.stride else None

    def _strided(self, shard: Shard, row_shape: tuple[int, ...], dtype: np.dtype) -> np.ndarray:
        """uint8 `(count, header + pixels)`: every array of a raw shard as one view of the mapped file."""
        header_bytes = 128
        width = header_bytes + math.prod(row_shape) * dtype.itemsize
        end = shard.first + (shard.count - 1) * shard.stride + width
        if shard.count < 1 or end > len(self._bytes) or shard.stride < width or shard.first < BLOCK:
            raise DataError(f"{self.name}: the manifest's layout does not fit the file; pack the dataset again")
        rows = np.lib.stride_tricks.as_strided(
            self._bytes[shard.first :], (shard.count, width), (shard.stride, 1), writeable=False
        )
        expected = npy_header(row_shape, dtype)
        if len(expected) != header_bytes:
            raise DataError(f"{self.name}: arrays of shape {row_shape} have no 128-byte header; pack the dataset again")
        self._header = np.frombuffer(expected, np.uint8)
        return rows

    @property
    def table(self) -> tuple[np.ndarray, np.ndarray]:
        """Offsets and sizes of the pictures' bytes, int64 `(count,)` each; read at first use."""
        if self._table is None:
            self._table = self._read_table()
        return self._table

    def _read_table(self) -> tuple[np.ndarray, np.ndarray]:
        path = self._index_path = self._idx()
        text = read_idx(path, len(self._bytes))
        table = _uniform_table(text, self.count, self._image_key)
        if table is None:
            samples = parse_idx(text, str(path), len(self._bytes))
            if len(samples) != self.count:
                raise DataError(f"{path}: lists {len(samples)} samples, the manifest says {self.count}; pack again")
            places = [(sample, picture_member(sample, self._image_key)) for sample in samples]
            offsets = np.array([sample[n].offset if n >= 0 else 0 for sample, n in places], dtype=np.int64)
            sizes = np.array([sample[n].size if n >= 0 else 0 for sample, n in places], dtype=np.int64)
            table = offsets, sizes
        _check_table(*table, len(self._bytes), path, self.name)
        return table

    def encoded(self, local: int) -> memoryview:
        """The bytes of a picture as they are stored.

        Raises:
            BadPicture: no member of the tar begins there, or it is larger than any picture.
        """
        offsets, sizes = self.table
        offset, size = int(offsets[local]), int(sizes[local])
        if not offset:
            raise BadPicture("has no picture")
        # An index of another tar with as many samples points between the members of this one.
        if not announces(self._map[offset - BLOCK : offset], size):
            raise BadPicture(f"lies elsewhere than {self._index_path} says; make that again with `ganforge data index`")
        if size > PICTURE_BYTES:
            raise BadPicture(f"is {in_bytes(size)} large, and pictures may have {in_bytes(PICTURE_BYTES)}; shrink it")
        return memoryview(self._map)[offset : offset + size]

    def key(self, local: int) -> str:
        """Shard and key of a sample, read from the tar itself."""
        offset = int(self.table[0][local])
        if not offset:
            return f"{self.name}: sample {local}"
        name = bytes(self._map[offset - BLOCK : offset - BLOCK + 100]).split(b"\0", 1)[0]
        return f"{self.name}: {name.decode('utf-8', 'replace')}"

    def read_rows(self, local: np.ndarray, places: np.ndarray, out: np.ndarray) -> dict[int, Unreadable]:
        """Samples `local` of a raw shard into rows `places` of `out`."""
        assert self._rows is not None
        rows = self._rows[local]
        bad = {}
        intact = (rows[:, : len(self._header)] == self._header).all(axis=1)
        for number in np.flatnonzero(~intact):
            bad[int(places[number])] = Unreadable(self.key(int(local[number])), "is not an array of the wanted shape")
        out.reshape(len(out), -1).view(np.uint8)[places] = rows[:, len(self._header) :]
        return bad

    def read_picture(self, local: int, out: np.ndarray, fit: Fit | None) -> Unreadable | None:
        """One encoded sample into a row."""
        try:
            data = self.encoded(local)
            if bytes(data[:6]) == b"\x93NUMPY":
                array_into(data, out, fit)
            else:
                decode_into(data, out, fit)
        except BadPicture as error:
            return Unreadable(self.key(local), str(error))
        return None

    @property
    def is_strided(self) -> bool:
        """Whether pictures lie at a constant distance."""
        return self._rows is not None


def array_into(data: memoryview, out: np.ndarray, fit: Fit | None = None) -> None:
    """Decode a stored array into a row; one of another shape or type only if it may be fitted."""
    try:
        array = array_from(data)
    except ValueError as error:
        raise BadPicture(f"is a damaged array: {error}") from None
    array = array[:, :, None] if array.ndim == 2 else array
    if fit is not None and (array.shape != out.shape or array.dtype != out.dtype):
        array = from_array(array, fit)
    if array.shape != out.shape or array.dtype != out.dtype:
        raise BadPicture(f"is {array.dtype} of shape {array.shape}, not {out.dtype} of {out.shape}")
    out[...] = array


def _check_table(offsets: np.ndarray, sizes: np.ndarray, tar_bytes: int, path: Path, name: str) -> None:
    """Refuse a table that no tar has: a member outside of it, or two that share bytes."""
    listed = (offsets != 0) | (sizes != 0)
    offsets, sizes = offsets[listed], sizes[listed]
    if (sizes < 0).any() or (offsets > tar_bytes - sizes).any():
        raise DataError(f"{path}: points past the end of {name}; the index or the shard is damaged")
    order = np.argsort(offsets, kind="stable")
    begins, ends = offsets[order] - BLOCK, offsets[order] + sizes[order]
    if (begins < 0).any() or (begins[1:] < ends[:-1]).any():
        raise DataError(f"{path}: lists pictures of {name} that overlap; make it again with `ganforge data index`")


def _uniform_table(text: str, count: int, image_key: str) -> tuple[np.ndarray, np.ndarray] | None:
    """Offsets and sizes if every line has the members of the first, in their order: ten times as fast."""
    head, _, body = text.partition("\n")
    fields = body.split()
    if head != f"v1.2 {count}" or not count or len(fields) % (4 * count):
        return None
    members = len(fields) // (4 * count)
    first = parse_idx("v1.2 1\n" + " ".join(fields[: 4 * members]) + "\n", "the first line")[0]
    column = picture_member(first, image_key)
    if column < 0 or body.count("\n") != count:
        return None
    step = 4 * members
    if any(set(fields[4 * m :: step]) != {first[m].extension} for m in range(members)):
        return None
    try:
        offsets = np.array(fields[4 * column + 1 :: step], dtype=np.int64)
        return offsets, np.array(fields[4 * column + 2 :: step], dtype=np.int64)
    except (ValueError, OverflowError):
        return None
