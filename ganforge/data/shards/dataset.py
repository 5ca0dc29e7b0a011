"""A dataset in tar shards: which shard holds a sample, and reading it from there."""

import hashlib
import threading
from collections import OrderedDict
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

import numpy as np

from ganforge.data.dataset import Dataset, Unreadable
from ganforge.data.decode import describe_decoders
from ganforge.data.limits import TooLarge, read_bounded
from ganforge.data.npy import array_from
from ganforge.data.pictures import Fit
from ganforge.data.shards.manifest import LABELS_NAME, Manifest
from ganforge.data.shards.open import OpenShard
from ganforge.data.values import ValueRange
from ganforge.errors import DataError

_MAX_OPEN = 2048


class ShardStore(Protocol):
    """Where the files of a dataset are."""

    where: str

    def tar(self, shard: int) -> Path:
        """A shard as a local file; fetches it if need be.

        Raises:
            DataError: it cannot be had.
        """
        ...

    def idx(self, shard: int) -> Path:
        """Its index as a local file."""
        ...

    def labels(self) -> bytes:
        """The content of `labels.npy`."""
        ...

    def prepare(self, limit_bytes: int) -> None:
        """Be told how much may be kept."""
        ...

    def keep_ahead(self, current: Sequence[int], following: Sequence[int]) -> list[int]:
        """Fetch what comes next, give up what is no longer needed; returns what was given up."""
        ...

    @property
    def is_local(self) -> bool:
        """Whether all shards lie on this machine already."""
        ...

    def close(self) -> None:
        """Stop fetching."""
        ...


class FolderStore:
    """Shards in a local folder, beside their manifest."""

    is_local: bool = True

    def __init__(self, folder: Path, manifest: Manifest) -> None:
        self.where = str(folder)
        self._folder = folder
        self._shards = manifest.shards
        self._most_label_bytes = manifest.most_label_bytes

    def tar(self, shard: int) -> Path:
        return self._folder / self._shards[shard].name

    def idx(self, shard: int) -> Path:
        return self._folder / self._shards[shard].index_name

    def labels(self) -> bytes:
        with open(self._folder / LABELS_NAME, "rb") as file:
            return read_bounded(file, self._most_label_bytes)

    def prepare(self, limit_bytes: int) -> None:
        pass

    def keep_ahead(self, current: Sequence[int], following: Sequence[int]) -> list[int]:
        return []

    def close(self) -> None:
        pass


class ShardDataset(Dataset):
    """Samples in tar shards described by a manifest.

    Args:
        manifest: what there is.
        store: where it is.

    Raises:
        DataError: the labels do not belong to the manifest.
    """

    is_streamable = True

    def __init__(self, manifest: Manifest, store: ShardStore) -> None:
        self.manifest = manifest
        self.store = store
        self.spec = manifest.spec
        self.digest = manifest.digest
        self.codec = manifest.codec
        self.shard_sizes = tuple(shard.count for shard in manifest.shards)
        if not manifest.count:
            raise DataError(f"{store.where}: the dataset holds no samples")
        self.labels = _load_labels(manifest, store) if manifest.labels_sha256 else None
        self._starts = np.concatenate([[0], np.cumsum(self.shard_sizes)])
        self._open: OrderedDict[int, OpenShard] = OrderedDict()
        self._lock = threading.Lock()
        values = ValueRange(*manifest.values, clip=False) if manifest.values else None
        self.fit = _fit(manifest, values) if manifest.fit else None
        self.rules: tuple[str, ...] = ()
        """What was decided about the samples of foreign tars, in sentences."""
        self.losses: tuple[str, ...] = ()
        """Those of them by which something is left out."""
        self.is_strided = all(shard.stride for shard in manifest.shards if shard.count)
        self.is_local = store.is_local
        self.image_key = manifest.image_key

    @property
    def stream_urls(self) -> list[str]:
        return [str(self.store.tar(number)) for number in range(len(self.shard_sizes))]

    def window(self, wanted: int, cache_limit_bytes: int) -> int:
        if self.is_local:
            return wanted
        sizes = [shard.bytes for shard in self.manifest.shards]
        if sum(sizes) <= cache_limit_bytes:
            return wanted
        fitting = cache_limit_bytes // (2 * max(sizes))
        if fitting < 1:
            raise DataError(
                f"data.cache_limit_gb: {cache_limit_bytes / 1e9:g} GB cannot hold two shards of "
                f"{max(sizes) / 1e9:.3g} GB of {self.store.where}; raise it"
            )
        return min(wanted, fitting) if wanted else fitting

    def locate(self, ids: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Shard numbers and numbers within the shard."""
        shards = np.searchsorted(self._starts, ids, side="right") - 1
        return shards, ids - self._starts[shards]

    def shard(self, number: int) -> OpenShard:
        """A shard, opened at first use."""
        with self._lock:
            found = self._open.get(number)
        if found is not None:
            return found
        # Outside the lock: this may fetch for a while, and other threads have shards to read from.
        described = self.manifest.shards[number]
        found = OpenShard(
            self.store.tar(number),
            lambda: self.store.idx(number),
            described,
            self.row_shape,
            self.manifest.image_key,
            self.dtype,
        )
        with self._lock:
            self._open[number] = found
            while len(self._open) > _MAX_OPEN:
                self._open.popitem(last=False)
        return found

    def read(self, ids: np.ndarray, out: np.ndarray) -> dict[int, Unreadable]:
        shards, local = self.locate(ids)
        bad: dict[int, Unreadable] = {}
        for number in np.unique(shards):
            places = np.flatnonzero(shards == number)
            opened = self.shard(int(number))
            if opened.is_strided:
                bad.update(opened.read_rows(local[places], places, out))
                continue
            for place in places:
                problem = opened.read_picture(int(local[place]), out[place], self.fit)
                if problem is not None:
                    bad[int(place)] = problem
        return bad

    def encoded(self, sample: int) -> memoryview:
        """The stored bytes of a sample."""
        shards, local = self.locate(np.array([sample]))
        return self.shard(int(shards[0])).encoded(int(local[0]))

    def key(self, sample: int) -> str:
        shards, local = self.locate(np.array([sample]))
        return self.shard(int(shards[0])).key(int(local[0]))

    def prepare(self, cache_dir: Path, cache_limit_bytes: int) -> None:
        self.store.prepare(cache_limit_bytes)

    def keep_ahead(self, current: Sequence[int], following: Sequence[int]) -> None:
        for number in self.store.keep_ahead(current, following):
            with self._lock:
                self._open.pop(number, None)

    def release(self) -> None:
        with self._lock:
            self._open.clear()

    def describe_decoder(self) -> str:
        return "" if self.codec == "raw" else describe_decoders()

    def close(self) -> None:
        self.store.close()
        self._open.clear()


def _fit(manifest: Manifest, values: ValueRange | None) -> Fit:
    spec = manifest.spec
    crop = manifest.fit or "none"
    return Fit(spec.height, spec.width, crop, spec.channels, values, has_alpha=spec.has_alpha)


def _load_labels(manifest: Manifest, store: ShardStore) -> np.ndarray:
    where = f"{store.where}/{LABELS_NAME}"
    try:
        data = store.labels()
    except OSError as error:
        raise DataError(f"{where}: cannot be read: {error.strerror}; copy it beside the shards") from error
    except TooLarge as error:
        raise DataError(f"{where}: {error}: too much for {manifest.count} labels; pack the dataset again") from error
    if hashlib.sha256(data).hexdigest() != manifest.labels_sha256:
        raise DataError(f"{where}: is not the file that the manifest names (sha256 differs); copy the dataset again")
    try:
        labels = array_from(data)
    except ValueError as error:
        raise DataError(f"{where}: is damaged: {error}; pack the dataset again") from error
    if not np.issubdtype(labels.dtype, np.integer):
        raise DataError(f"{where}: holds {labels.dtype}, not integers; pack the dataset again")
    if labels.shape != (manifest.count,):
        raise DataError(f"{where}: has {labels.shape} labels for {manifest.count} samples; pack the dataset again")
    if labels.size and not (labels.min() >= 0 and labels.max() < max(1, len(manifest.classes))):
        raise DataError(f"{where}: has labels outside the {len(manifest.classes)} classes; pack the dataset again")
    return labels.astype(np.int64)
