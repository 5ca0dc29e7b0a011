"""Full batches without end, the same for any number of ranks, resumed by one integer.

    loader = Loader(dataset, batch_size=128, rank=rank, world_size=world_size, device=device)
    batch = loader.next()

Never hand this to `accelerator.prepare`: that would shard it a second time and read one batch ahead.
"""

import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ganforge.data.dataset import Dataset
from ganforge.data.options import LoaderOptions
from ganforge.data.order import Order
from ganforge.data.prefetch import Prefetcher, default_workers
from ganforge.data.readers.base import Reader
from ganforge.data.readers.choose import choose
from ganforge.data.readers.device import ResidentStore
from ganforge.data.readers.direct import DirectReader
from ganforge.data.readers.host import HostReader
from ganforge.data.stream import StreamReader
from ganforge.data.transfer import to_device
from ganforge.data.transform import Transform
from ganforge.errors import DataError


@dataclass
class Batch:
    """One rank's slice of a global batch, on the device.

    Attributes:
        samples: float32 in [-1, 1], `(batch, channels, height, width)`; points as they are, `(batch, dimensions)`.
        labels: int64 `(batch,)`, or None.
        ids: numbers of the samples in the dataset, on the host; empty when a stream has none.
    """

    samples: Tensor
    labels: Tensor | None
    ids: np.ndarray


class Loader:
    """This rank's slices of an endless row of global batches.

    Args:
        dataset: what to read.
        batch_size: samples in a batch over all ranks together.
        options: how to read; single options may be given by keyword instead.
        rank: of this process among all.
        world_size: number of ranks.
        local_rank: of this process on its node; by default as if all ranks were on one node.
        local_world_size: number of ranks on this node.
        seed: of the recipe.
        device: where batches go.
        cache_dir: folder for decoded and fetched data.
        overrides: options by keyword, such as `flip=True`.

    Raises:
        DataError: the batch cannot be divided, or the reader cannot read the dataset.
    """

    def __init__(
        self,
        dataset: Dataset,
        *,
        batch_size: int,
        options: LoaderOptions | None = None,
        rank: int = 0,
        world_size: int = 1,
        local_rank: int | None = None,
        local_world_size: int | None = None,
        seed: int = 0,
        device: torch.device | str = "cpu",
        cache_dir: Path = Path(".cache"),
        **overrides: Any,
    ) -> None:
        check_batch_size(batch_size, world_size)
        options = LoaderOptions(**{**(options.model_dump() if options else {}), **overrides})
        self.dataset = dataset
        self.options = options
        self.batch_size = batch_size
        self.device = torch.device(device)
        self.position = 0
        self._rank, self._world_size = rank, world_size
        self._share = batch_size // world_size
        local_rank = rank if local_rank is None else local_rank
        local_world_size = world_size if local_world_size is None else local_world_size
        self._transform = Transform(seed, flip=options.flip, crop=options.crop, rotate=options.rotate)
        if options.crop and dataset.spec.is_image and options.crop >= min(dataset.spec.shape[1:]):
            raise DataError(f"data.crop: {options.crop} pixels are more than a picture of {dataset.spec} has; lower it")
        self.choice = choose(dataset, options.reader, self.device, cache_dir, local_world_size)
        limit_bytes = options.cache_limit_bytes
        dataset.prepare(cache_dir, limit_bytes)
        self._ahead: tuple[list[int], list[int]] | None = None
        self._is_local = bool(getattr(dataset, "is_local", True))
        workers = options.workers or default_workers(local_world_size)
        self._store: ResidentStore | None = None
        self._stream: StreamReader | None = None
        self._prefetcher: Prefetcher | None = None
        self._wait = 0.0
        self._workers = workers
        if self.choice.reader == "webdataset":
            self._stream = StreamReader(dataset, self._share, rank, world_size, seed, options.max_corrupt)
            self._problems = self._stream.report
            return
        self.order = Order(dataset.shard_sizes, seed=seed, window=dataset.window(options.window, limit_bytes))
        reader = self._make_reader(cache_dir, local_rank, local_world_size)
        if self.choice.reader == "device":
            self._store = ResidentStore(dataset, reader, self.device)
            self._problems = self._store.report
            return
        dtype = torch.uint8 if dataset.spec.is_image else torch.float32
        self._prefetcher = Prefetcher(
            reader, self._share, dataset.row_shape, dtype, self.device, workers, options.prefetch
        )
        self._problems = reader.report

    def _make_reader(self, cache_dir: Path, local_rank: int, local_world_size: int) -> Reader:
        name, limit = self.choice.reader, self.options.max_corrupt
        is_encoded = self.dataset.codec not in ("array", "raw")
        if name == "host" or (name == "device" and is_encoded and local_world_size > 1):
            return HostReader(self.dataset, cache_dir, limit, local_rank, local_world_size, self._workers)
        return DirectReader(name, self.dataset, limit)

    def next(self) -> Batch:
        """This rank's slice of the next global batch; always full.

        Raises:
            DataError: too many samples are unreadable, or a shard cannot be had.
        """
        step = self.position
        if self._stream is not None:
            return self._next_of_stream(step)
        if self._store is not None:
            rows, labels, ids = self._store.select(self._ids(step))
            samples = self._finish(rows, step)
        else:
            assert self._prefetcher is not None
            self._keep_ahead(step)
            ids, host_rows, slot = self._prefetcher.take(step, self._ids)
            samples = self._finish(host_rows.to(self.device, non_blocking=True), step)
            self._prefetcher.give_back(slot)
            labels = self._labels(ids)
        self.position = step + 1
        return Batch(samples, labels, ids)

    def _keep_ahead(self, step: int) -> None:
        """Tell a remote dataset which shards are needed from batch `step` on, whenever that changes."""
        if self._is_local:
            return
        ahead = self.order.shards_ahead(step * self.batch_size)
        if ahead != self._ahead:
            self._ahead = ahead
            self.dataset.keep_ahead(*ahead)

    def _finish(self, rows: Tensor, step: int) -> Tensor:
        return self._transform(rows, self._positions(step)) if self.dataset.spec.is_image else rows.clone()

    def _next_of_stream(self, step: int) -> Batch:
        assert self._stream is not None
        began = time.perf_counter()
        rows, labels = self._stream.take(step)
        self._wait += time.perf_counter() - began
        samples = self._transform(torch.from_numpy(rows).to(self.device), self._positions(step))
        self.position = step + 1
        targets = None if labels is None else torch.from_numpy(labels).to(self.device)
        return Batch(samples, targets, np.empty(0, np.int64))

    def seek(self, position: int) -> None:
        """Go on with global batch number `position`; costs nothing."""
        self.position = position

    @property
    def wait_seconds(self) -> float:
        """Host time spent waiting for data so far."""
        return self._wait + (self._prefetcher.wait_seconds if self._prefetcher else 0.0)

    def remedy(self) -> str:
        """What helps when steps wait for data too long, for the trainer's warning."""
        if self.choice.reader == "device":
            return "the data is on the device already; look elsewhere"
        if not self._is_local:
            return "shards come too slowly: copy them to a local disk, or raise data.cache_limit_gb or data.workers"
        if self.choice.reader == "webdataset":
            return "pack the source with `ganforge data pack`: shards with an index are read many times faster"
        if self.choice.reader == "encoded":
            return "set data.reader = 'host', pack smaller pictures with --codec raw, or raise data.workers"
        return "set data.reader = 'device' if it fits, or raise data.prefetch and data.workers"

    def unreadable(self) -> list[str]:
        """Key and reason of each sample that was replaced so far."""
        return self._problems()

    def describe(self) -> str:
        """One line: which reader was taken and why."""
        decoder = self.dataset.describe_decoder() if self.choice.reader in ("encoded", "host") else ""
        threads = f"; {self._workers} threads" if self._prefetcher else ""
        count = f"{len(self.dataset):,} samples" if len(self.dataset) else "a stream"
        return (
            f"{count}, {self.dataset.spec}; reader '{self.choice.reader}' "
            f"({self.choice.reason}{threads}{', ' + decoder if decoder else ''})"
        )

    def close(self) -> None:
        """Stop reading ahead and let go of files."""
        for part in (self._prefetcher, self._stream):
            if part is not None:
                part.close()
        self.dataset.close()

    def _ids(self, step: int) -> np.ndarray:
        return self.order.batch(step, self.batch_size, self._rank, self._world_size)

    def _positions(self, step: int) -> np.ndarray:
        return np.arange(self._share) + (step * self.batch_size + self._rank * self._share)

    def _labels(self, ids: np.ndarray) -> Tensor | None:
        if self.dataset.labels is None:
            return None
        return to_device(self.dataset.labels[ids], self.device)


def check_batch_size(batch_size: int, world_size: int) -> None:
    """A global batch must divide over the ranks.

    Raises:
        DataError: it does not; names the two nearest sizes that do.
    """
    if batch_size < 1 or batch_size % world_size:
        below = batch_size // world_size * world_size
        nearest = f"{below} or {below + world_size}" if below else f"{world_size}"
        raise DataError(
            f"training.batch_size: a batch of {batch_size} cannot be divided over {world_size} ranks; use {nearest}"
        )
