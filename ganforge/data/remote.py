"""Shards at urls, behind the same interface as a local folder."""

import logging
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from filelock import FileLock

from ganforge.data.cache import CACHE_LIMIT_BYTES, ShardCache
from ganforge.data.fetch import Patience, fetch_bytes
from ganforge.data.limits import MANIFEST_BYTES, read_bounded
from ganforge.data.shards.dataset import ShardDataset
from ganforge.data.shards.manifest import FILE_NAME, LABELS_NAME, Manifest, parse_manifest
from ganforge.data.shards.tarindex import scan_tar, write_idx
from ganforge.data.urls import is_remote, local_path
from ganforge.errors import DataError
from ganforge.redaction import without_credentials

_log = logging.getLogger(__name__)
_FETCHERS = 4


class UrlStore:
    """Shards wherever they lie, remote ones through the cache.

    Args:
        where: the dataset, for messages.
        manifest: what there is.
        locations: path or url of each shard.
        cache: for what has to be fetched.
        labels: where `labels.npy` lies; empty without labels.
        index_folder: where the `.idx` files lie; None to make them from the fetched shards.
    """

    def __init__(
        self,
        where: str,
        manifest: Manifest,
        locations: Sequence[str],
        cache: ShardCache,
        labels: str = "",
        index_folder: Path | None = None,
    ) -> None:
        assert len(locations) == len(manifest.shards), "one location a shard"
        self.where = where
        self._shards = manifest.shards
        self._locations = list(locations)
        self._cache = cache
        self._labels = labels
        self._labels_sha256 = manifest.labels_sha256
        self._most_label_bytes = manifest.most_label_bytes
        self._index_folder = index_folder
        self.is_local = not any(is_remote(location) for location in locations)
        self._pool: ThreadPoolExecutor | None = None

    def tar(self, shard: int) -> Path:
        location, described = self._locations[shard], self._shards[shard]
        if not is_remote(location):
            return local_path(location)
        return self._cache.get(location, size=described.bytes, sha256=described.sha256)

    def idx(self, shard: int) -> Path:
        if self._index_folder is not None:
            return self._index_folder / self._shards[shard].index_name
        tar = self.tar(shard)
        path = tar.with_suffix(".idx")
        if not path.exists():
            with FileLock(path.with_suffix(".lock")):
                if not path.exists():
                    write_idx(path, scan_tar(tar, self._locations[shard]))
        return path

    def labels(self) -> bytes:
        if is_remote(self._labels):
            return fetch_bytes(self._labels, self._most_label_bytes, sha256=self._labels_sha256)
        with open(local_path(self._labels), "rb") as file:
            return read_bounded(file, self._most_label_bytes)

    def prepare(self, limit_bytes: int) -> None:
        self._cache.limit_bytes = limit_bytes

    def keep_ahead(self, current: Sequence[int], following: Sequence[int]) -> list[int]:
        if self.is_local:
            return []
        wanted = list(dict.fromkeys([*current, *following]))
        self._cache.keep(self._path(shard) for shard in wanted if is_remote(self._locations[shard]))
        self._pool = self._pool or ThreadPoolExecutor(_FETCHERS, thread_name_prefix="ganforge-fetch")
        missing = [shard for shard in wanted if is_remote(self._locations[shard]) and not self._path(shard).exists()]
        if missing:
            size = sum(self._shards[shard].bytes for shard in missing)
            _log.info(
                "%s: fetching %d shards, %.1f GB, for this window and the next",
                without_credentials(self.where),
                len(missing),
                size / 1e9,
            )
        for shard in missing:
            self._pool.submit(self._fetch_quietly, shard)
        return [shard for shard in range(len(self._shards)) if shard not in set(wanted)]

    def close(self) -> None:
        if self._pool is not None:
            self._pool.shutdown(wait=False, cancel_futures=True)
            self._pool = None  # whoever reads on gets a new one

    def _path(self, shard: int) -> Path:
        return self._cache.path(self._locations[shard], self._shards[shard].sha256)

    def _fetch_quietly(self, shard: int) -> None:
        try:
            self.tar(shard)
        except DataError as error:
            # Whoever needs the shard gets the same error again, and raises it where it stops the run.
            _log.warning("%s", error)


def open_remote(
    path: str, cache_dir: Path, patience: Patience | None = None, cache_limit_bytes: int = CACHE_LIMIT_BYTES
) -> ShardDataset:
    """A packed dataset at a url, the folder or its `dataset.json`.

    Args:
        path: the url.
        cache_dir: for fetched shards.
        patience: limits on fetching.
        cache_limit_bytes: of all fetched shards together.

    Raises:
        DataError: it cannot be fetched, or is damaged.
    """
    folder = path.removesuffix(FILE_NAME).rstrip("/")
    url = f"{folder}/{FILE_NAME}"
    manifest = parse_manifest(fetch_bytes(url, MANIFEST_BYTES, patience=patience), url)
    locations = [f"{folder}/{shard.name}" for shard in manifest.shards]
    cache = ShardCache(cache_dir / "shards", patience, cache_limit_bytes)
    return ShardDataset(manifest, UrlStore(folder, manifest, locations, cache, f"{folder}/{LABELS_NAME}"))
