"""Batches from the stock webdataset pipeline, one read ahead.

Its promises are weaker than those of the index: the shards are dealt to the ranks in turn, so the
batches depend on their number; samples are shuffled only within a buffer; resuming reads everything
again up to the position; an unreadable sample is skipped, not replaced. A rank's stream never
ends: when its shards are through, they come again in another order.
"""

import itertools
import logging
import random
import time
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import numpy as np
import torch

from ganforge.data.batches.source import BatchSource, RankSlice, Rows
from ganforge.data.dataset import Dataset
from ganforge.data.decode import decode_into
from ganforge.data.depth import as_rows
from ganforge.data.limits import CLASSES
from ganforge.data.pictures import BadPicture
from ganforge.data.shards.open import array_into
from ganforge.data.stream import picture_key, samples_of
from ganforge.errors import DataError

_log = logging.getLogger(__name__)
_SHUFFLE = 1000

_HostRows = tuple[np.ndarray, np.ndarray | None]
"""Rows of a batch, and their labels if every one has one."""


class StreamedSource(BatchSource):
    """Full batches from shards that are read from front to back.

    Args:
        dataset: with `stream_urls`.
        part: of each batch that is this rank's.
        device: where batches go.
        seed: of the recipe.
        max_corrupt: see `LoaderOptions`.
    """

    def __init__(
        self, dataset: Dataset, part: RankSlice, device: torch.device, *, seed: int, max_corrupt: float
    ) -> None:
        self._dataset, self._part, self._device, self._seed = dataset, part, device, seed
        self._max_corrupt = max_corrupt
        self._problems: list[str] = []
        self._seen = 0
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="ganforge-stream")
        self._next: tuple[int, Future[_HostRows]] | None = None
        self._rows: Iterator[tuple[np.ndarray, int | None]] | None = None
        self._at = 0

    def take(self, position: int) -> Rows:
        began = time.perf_counter()
        try:
            rows, labels = self._take(position // self._part.world_size)
        finally:
            self.wait_seconds += time.perf_counter() - began
        targets = None if labels is None else torch.from_numpy(labels).to(self._device)
        return Rows(as_rows(rows).to(self._device), targets, np.empty(0, np.int64))

    def report(self) -> list[str]:
        return list(self._problems)

    def close(self) -> None:
        self._pool.shutdown(wait=True, cancel_futures=True)

    def _take(self, start: int) -> _HostRows:
        """The batch that begins at sample `start` of this rank's own stream."""
        if self._next is None or self._next[0] != start:
            if self._next is not None:
                self._next[1].exception()
            self._next = (start, self._pool.submit(self._read, start))
        result = self._next[1].result()
        following = start + self._part.count
        self._next = (following, self._pool.submit(self._read, following))
        return result

    def _read(self, start: int) -> _HostRows:
        if self._rows is None or self._at != start:
            if start:
                _log.warning("%s: reading again up to sample %d", self._dataset.digest[:8], start)
            self._rows = itertools.islice(self._decoded(), start, None)
        pairs = list(itertools.islice(self._rows, self._part.count))
        self._at = start + self._part.count
        labels = [label for _, label in pairs if label is not None]
        rows = np.stack([row for row, _ in pairs])
        return rows, np.array(labels, dtype=np.int64) if len(labels) == len(pairs) else None

    def _urls(self) -> Iterator[str]:
        """Endless: this rank's share of the shards, in another order each time round."""
        urls, rank, ranks = self._dataset.stream_urls, self._part.rank, self._part.world_size
        for epoch in itertools.count():
            order = np.argsort(np.random.Philox(key=[self._seed, epoch]).random_raw(len(urls)))
            mine = order[rank::ranks] if len(urls) >= ranks else order
            yield from (urls[number] for number in mine)

    def _decoded(self) -> Iterator[tuple[np.ndarray, int | None]]:
        import webdataset

        dataset, rank, ranks = self._dataset, self._part.rank, self._part.world_size
        samples: Any = samples_of(self._urls(), "stream")
        if len(dataset.stream_urls) < ranks:  # all ranks read all shards, each takes every n-th sample of n ranks
            samples = itertools.islice(samples, rank, None, ranks)
        shuffle = webdataset.filters.shuffle(_SHUFFLE, initial=min(_SHUFFLE, 100), rng=random.Random(self._seed))
        for sample in shuffle(samples):
            key = picture_key(sample, dataset.image_key)
            row = np.empty(dataset.row_shape, dataset.dtype)
            self._seen += 1
            try:
                if key is None:
                    raise BadPicture("has no picture")
                data = memoryview(sample[key])
                if bytes(data[:6]) == b"\x93NUMPY":
                    array_into(data, row, dataset.fit)
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
