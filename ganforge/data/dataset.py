"""What readers need of a dataset: its samples by number, and what they look like."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ganforge.spec import DataSpec

if TYPE_CHECKING:
    from ganforge.data.pictures import Fit  # brings Pillow, which points in the plane do without


class Unreadable(Exception):
    """One sample cannot be read; readers replace it and count it.

    Args:
        key: shard and key of the sample.
        reason: what is wrong with it.
    """

    def __init__(self, key: str, reason: str) -> None:
        self.key = key
        self.reason = reason
        super().__init__(f"{key}: {reason}")


class Dataset(ABC):
    """A finite set of samples with stable numbers 0..N-1, in the order of its shards.

    Attributes:
        spec: what one sample looks like.
        digest: hex sha256 of content and layout; the same samples have the same digest anywhere.
        labels: int64 `(N,)`, or None.
        codec: how samples are stored: `array` (in memory), `raw`, `stream` (without numbers or an end), or the name of
            a picture codec.
        shard_sizes: samples of each shard.
        is_local: whether all samples lie on this machine; if not, the loader says by `keep_ahead` what it needs next.
        is_strided: whether samples are stored as arrays at regular distances, so that they are gathered undecoded.
        is_streamable: whether `stream_urls` names tars that the stock webdataset pipeline can read.
        image_key: extension of the picture in a sample of a tar, such as `image.jpg`; empty to find it.
        source: what the other half of each sample looks like, of which a translator makes it; None without one. Rows
            then have the channels of both, the sample's first.
        fit: how stored pictures become samples of `spec`; None if they have its shape already.
    """

    spec: DataSpec
    digest: str
    labels: np.ndarray | None = None
    codec: str = "array"
    shard_sizes: Sequence[int]
    is_local: bool = True
    is_strided: bool = False
    is_streamable: bool = False
    image_key: str = ""
    fit: "Fit | None" = None
    source: DataSpec | None = None

    def __len__(self) -> int:
        return int(sum(self.shard_sizes))

    @property
    def row_shape(self) -> tuple[int, ...]:
        """Shape of a stored sample: `(height, width, channels)`, or `(dimensions,)` of a point."""
        spec = self.spec
        beside = 0 if self.source is None else self.source.channels
        return (spec.height, spec.width, spec.channels + beside) if spec.is_image else spec.shape

    @property
    def dtype(self) -> np.dtype:
        """That of the spec for pictures, float32 for points."""
        return np.dtype(self.spec.dtype if self.spec.is_image else np.float32)

    @property
    def class_counts(self) -> tuple[int, ...]:
        """Samples of each class, in the order of `spec.classes`; empty where labels are not known by number."""
        if self.labels is None or not self.spec.classes or not len(self.labels):
            return ()
        return tuple(np.bincount(self.labels, minlength=self.spec.num_classes).tolist())

    @property
    def decoded_bytes(self) -> int:
        """Size of all samples, decoded."""
        return len(self) * int(np.prod(self.row_shape)) * self.dtype.itemsize

    @property
    def stream_urls(self) -> list[str]:
        """Paths and urls of the tars in their order, for reading from front to back; fetches what is not local."""
        return []

    @abstractmethod
    def read(self, ids: np.ndarray, out: np.ndarray) -> dict[int, Unreadable]:
        """Decode the samples `ids` into the rows of `out`, shape `(len(ids), *row_shape)`.

        Returns:
            what could not be read, by row of `out`.
        """

    def key(self, sample: int) -> str:
        """Shard and key of a sample, for messages."""
        return f"sample {sample}"

    def prepare(self, cache_dir: Path, cache_limit_bytes: int) -> None:
        """Called once by a loader before anything is read; remote datasets set up their cache here."""

    def window(self, wanted: int, cache_limit_bytes: int) -> int:
        """Shards to shuffle together, 0 for all: as many as wanted, or as fit the cache twice."""
        return wanted

    def keep_ahead(self, current: Sequence[int], following: Sequence[int]) -> None:
        """Told the shards of the current and the next window, so that remote ones are fetched in time."""

    def describe_decoder(self) -> str:
        """Which decoder reads encoded pictures, for the loader's one line; empty without one."""
        return ""

    def release(self) -> None:
        """Give back the memory of what was read; files are opened again when they are needed."""

    def close(self) -> None:
        """Let go of open files."""


class ArrayDataset(Dataset):
    """Samples that lie in one array in memory.

    Args:
        rows: `(N, height, width, channels)` of the spec's type, or float32 `(N, dimensions)`.
        spec: what a sample looks like.
        digest: of the content.
        labels: int64 `(N,)` or None.
    """

    def __init__(self, rows: np.ndarray, spec: DataSpec, digest: str, labels: np.ndarray | None = None) -> None:
        self.rows = rows
        self.spec = spec
        self.digest = digest
        self.labels = labels
        self.shard_sizes = (len(rows),)

    def read(self, ids: np.ndarray, out: np.ndarray) -> dict[int, Unreadable]:
        np.take(self.rows, ids, axis=0, out=out)
        return {}
