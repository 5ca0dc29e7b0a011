"""The stock webdataset pipeline, for sources that have no index or no end.

Its promises are weaker than those of the index: the shards are dealt to the ranks in turn, so the
batches depend on their number; samples are shuffled only within a buffer; resuming reads everything
again up to the position; an unreadable sample is skipped, not replaced. A rank's stream never
ends: when its shards are through, they come again in another order.
"""

import hashlib
import itertools
import json
import logging
import lzma
import random
import tarfile
import zlib
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import numpy as np

from ganforge.data.dataset import Dataset, Unreadable
from ganforge.data.decode import decode_into
from ganforge.data.decompress import decompressed
from ganforge.data.foreign import Wishes
from ganforge.data.limits import CLASSES
from ganforge.data.npy import array_from
from ganforge.data.openshard import array_into, picture_member
from ganforge.data.pictures import BadPicture, Fit, from_array, open_picture, to_pixels
from ganforge.data.tarindex import Member
from ganforge.data.tarweight import Weight
from ganforge.data.urls import is_remote
from ganforge.errors import DataError
from ganforge.spec import DataSpec

_log = logging.getLogger(__name__)
_SHUFFLE = 1000
# tarfile reads headers that follow each other by recursion, and numbers in pax records by int().
_BROKEN = (OSError, EOFError, ValueError, LookupError, RecursionError, tarfile.TarError, zlib.error, lzma.LZMAError)


class StreamDataset(Dataset):
    """Shards that are only ever read from front to back.

    Args:
        where: as the recipe names them.
        urls: of the shards.
        wishes: see `foreign.Wishes`.

    Raises:
        DataError: the first sample cannot be read.
    """

    codec = "stream"
    shard_sizes = ()

    def __init__(self, where: str, urls: Sequence[str], wishes: Wishes) -> None:
        self.where = where
        self.stream_urls = list(urls)
        self.image_key = wishes.image_key
        first = next(_samples(iter(urls[:1]), where), None)
        if first is None:
            raise DataError(f"{urls[0]}: holds no samples")
        pixels = _first_pixels(first, wishes, urls[0])
        self.spec = DataSpec((wishes.channels or pixels.shape[2], *pixels.shape[:2]))
        self.fit = Fit(self.spec.height, self.spec.width, wishes.fit, self.spec.channels)
        # The content is unknown, so the digest can only stand for where it comes from.
        self.digest = hashlib.sha256(json.dumps([list(urls), wishes]).encode()).hexdigest()

    def read(self, ids: np.ndarray, out: np.ndarray) -> dict[int, Unreadable]:
        raise DataError(f"{self.where}: a stream has no numbered samples; pack it with `ganforge data pack`")


def _first_pixels(sample: dict[str, Any], wishes: Wishes, url: str) -> np.ndarray:
    key = _picture_key(sample, wishes.image_key)
    try:
        if key is None:
            raise BadPicture(f"has no picture, only {', '.join(k for k in sample if k[0] != '_')}")
        fit = Fit(wishes.size, wishes.size, wishes.fit, wishes.channels)
        if key.endswith("npy"):
            return from_array(array_from(sample[key]), fit)
        return to_pixels(open_picture(sample[key]), fit)
    except (BadPicture, ValueError) as error:
        raise DataError(f"{url}: {sample['__key__']}: {error}; set data.image_key") from None


def _picture_key(sample: dict[str, Any], image_key: str) -> str | None:
    members = [Member(name, 0, 0, "") for name in sample if not name.startswith("__")]
    number = picture_member(members, image_key)
    return members[number].extension if number >= 0 else None


def _samples(urls: Iterator[str], where: str) -> Iterator[dict[str, Any]]:
    """Undecoded samples; a damaged shard is an error, never a silent end."""
    from webdataset.tariterators import group_by_keys

    def refuse(error: Exception) -> bool:
        raise DataError(f"{where}: samples cannot be put together: {error}") from error

    return group_by_keys(_members(urls), handler=refuse)


def _members(urls: Iterator[str]) -> Iterator[dict[str, Any]]:
    """Files of the tars as webdataset's stages hand them on."""
    for url in urls:
        yield from _members_of(url)


def _members_of(url: str) -> Iterator[dict[str, Any]]:
    """Files of one tar, whose end mark is looked for: webdataset's own stage takes one that stops early for whole."""
    from webdataset.gopen import gopen

    ended = False
    weight = Weight(url)

    class Header(tarfile.TarInfo):
        @classmethod
        def frombuf(cls, buf: Any, encoding: Any, errors: Any) -> Any:
            nonlocal ended
            ended = ended or (len(buf) == tarfile.BLOCKSIZE and not any(buf))
            info = super().frombuf(buf, encoding, errors)
            weight.check_header(info)
            return info

    try:
        stream: Any = gopen(_gopen_url(url))
        with stream, tarfile.open(fileobj=decompressed(stream), mode="r|", tarinfo=Header) as tar:
            for info in tar:
                weight.add(info)
                if info.isreg():
                    file = tar.extractfile(info)
                    assert file is not None
                    yield {"fname": info.name, "data": file.read(), "__url__": url}
                tar.members.clear()  # type: ignore[attr-defined] # or the list grows with every file
    except _BROKEN as error:
        text = " ".join(f"{type(error).__name__}: {error}".split())[:200]
        raise DataError(f"{url}: the shard broke off: {text}; check the source") from error
    if not ended:
        raise DataError(f"{url}: the shard broke off: it has no end mark; check the source")


def _gopen_url(url: str) -> str:
    if is_remote(url) and not url.startswith(("http", "pipe:", "gs:")):
        raise DataError(f"{url}: the stock pipeline cannot open it; use \"pipe:aws s3 cp '{url}' -\" or similar")
    return url


class StreamReader:
    """Full batches from the stock pipeline, one read ahead.

    Args:
        dataset: with `stream_urls`.
        batch: samples of this rank in a batch.
        rank: of this process.
        world_size: number of ranks.
        seed: of the recipe.
        max_corrupt: see `LoaderOptions`.
    """

    def __init__(self, dataset: Any, batch: int, rank: int, world_size: int, seed: int, max_corrupt: float) -> None:
        self._dataset = dataset
        self._batch, self._rank, self._world_size, self._seed = batch, rank, world_size, seed
        self._max_corrupt = max_corrupt
        self._problems: list[str] = []
        self._seen = 0
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="ganforge-stream")
        self._next: tuple[int, Future[tuple[np.ndarray, np.ndarray | None]]] | None = None
        self._rows: Iterator[tuple[np.ndarray, int | None]] | None = None
        self._at = 0

    def take(self, step: int) -> tuple[np.ndarray, np.ndarray | None]:
        """uint8 rows of batch number `step` and their labels, if every one has one."""
        if self._next is None or self._next[0] != step:
            if self._next is not None:
                self._next[1].exception()
            self._next = (step, self._pool.submit(self._read, step))
        result = self._next[1].result()
        self._next = (step + 1, self._pool.submit(self._read, step + 1))
        return result

    def report(self) -> list[str]:
        """Key and reason of each sample that was skipped."""
        return list(self._problems)

    def close(self) -> None:
        """Stop reading."""
        self._pool.shutdown(wait=True, cancel_futures=True)

    def _read(self, step: int) -> tuple[np.ndarray, np.ndarray | None]:
        if self._rows is None or self._at != step:
            if step:
                _log.warning("%s: reading again up to batch %d", self._dataset.digest[:8], step)
            self._rows = itertools.islice(self._decoded(), step * self._batch, None)
        pairs = list(itertools.islice(self._rows, self._batch))
        self._at = step + 1
        labels = [label for _, label in pairs if label is not None]
        rows = np.stack([row for row, _ in pairs])
        return rows, np.array(labels, dtype=np.int64) if len(labels) == len(pairs) else None

    def _urls(self) -> Iterator[str]:
        """Endless: this rank's share of the shards, in another order each time round."""
        urls = self._dataset.stream_urls
        for epoch in itertools.count():
            order = np.argsort(np.random.Philox(key=[self._seed, epoch]).random_raw(len(urls)))
            mine = order[self._rank :: self._world_size] if len(urls) >= self._world_size else order
            yield from (urls[number] for number in mine)

    def _decoded(self) -> Iterator[tuple[np.ndarray, int | None]]:
        import webdataset

        dataset = self._dataset
        share = len(dataset.stream_urls) < self._world_size
        samples: Any = _samples(self._urls(), "stream")
        if share:  # fewer shards than ranks: all ranks read all shards, each takes every so-manieth sample
            samples = itertools.islice(samples, self._rank, None, self._world_size)
        shuffle = webdataset.filters.shuffle(_SHUFFLE, initial=min(_SHUFFLE, 100), rng=random.Random(self._seed))
        shape = dataset.row_shape
        for sample in shuffle(samples):
            key = _picture_key(sample, getattr(dataset, "image_key", ""))
            row = np.empty(shape, np.uint8)
            self._seen += 1
            try:
                if key is None:
                    raise BadPicture("has no picture")
                data = memoryview(sample[key])
                if bytes(data[:6]) == b"\x93NUMPY":
                    array_into(data, row)
                else:
                    decode_into(data, row, dataset.fit)
            except BadPicture as error:
                self._skip(f"{sample.get('__url__', 'stream')}: {sample['__key__']}: {error}")
                continue
            yield row, _label(sample)

    def _skip(self, problem: str) -> None:
        self._problems.append(problem)
        allowed = max(8, int(self._max_corrupt * self._seen)) if self._max_corrupt else 0
        if len(self._problems) > allowed:
            raise DataError(
                f"{problem}; {len(self._problems)} unreadable samples, {allowed} allowed (data.max_corrupt)"
            )


def _label(sample: dict[str, Any]) -> int | None:
    try:
        label = int(sample["cls"])
    except (KeyError, ValueError):
        return None
    return label if 0 <= label < CLASSES else None
