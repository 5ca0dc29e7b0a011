"""Batches read ahead by threads into pinned buffers that are used again."""

import time
from collections import deque
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
import torch

from ganforge.data.batches.source import BatchSource, RankSlice, Rows
from ganforge.data.dataset import Dataset
from ganforge.data.depth import as_stored, tensor_type
from ganforge.data.order import Order
from ganforge.data.readers.base import Reader
from ganforge.data.transfer import to_device


@dataclass
class _Slot:
    """A buffer of one batch, and when the device has finished copying from it."""

    rows: torch.Tensor
    copied: torch.cuda.Event | None = None


@dataclass
class _Pending:
    """A batch on its way: where it begins and the parts that threads read."""

    position: int
    slot: _Slot
    parts: list[Future[np.ndarray]]


class PrefetchedSource(BatchSource):
    """Reads the batches that follow the one that was taken, before they are asked for.

    Args:
        dataset: for labels and shapes; a remote one is told which shards are needed next.
        reader: where samples come from.
        order: of the samples.
        part: of each batch that is this rank's.
        device: where batches go; pinned buffers for an accelerator.
        workers: threads.
        depth: batches ahead.
    """

    def __init__(
        self,
        dataset: Dataset,
        reader: Reader,
        order: Order,
        part: RankSlice,
        device: torch.device,
        *,
        workers: int,
        depth: int,
    ) -> None:
        self.order = order
        self.threads = workers
        self._dataset, self._reader, self._part, self._device = dataset, reader, part, device
        self._pool = ThreadPoolExecutor(workers, thread_name_prefix="ganforge-data")
        self._depth = depth
        self._queue: deque[_Pending] = deque()
        self._is_image = dataset.spec.is_image
        shape, dtype = (part.count, *dataset.row_shape), tensor_type(dataset)
        pin = device.type == "cuda"
        # One more than are read ahead: on a CPU the caller works on the buffer itself.
        self._free = deque(_Slot(torch.empty(shape, dtype=dtype, pin_memory=pin)) for _ in range(depth + 1))
        self._chunk = max(1, min(reader.chunk, -(-part.count // workers)))
        self._shards_ahead: tuple[list[int], list[int]] | None = None

    def take(self, position: int) -> Rows:
        self._keep_shards_ahead(position)
        if self._queue and self._queue[0].position != position:
            self._clear()
        while len(self._queue) < self._depth:
            self._submit(position + len(self._queue) * self._part.batch_size)
        pending = self._queue.popleft()
        ids = self._wait_for(pending)
        slot = pending.slot
        rows = slot.rows.to(self._device, non_blocking=True, copy=not self._is_image)
        if self._device.type == "cuda":
            slot.copied = torch.cuda.Event()
            slot.copied.record()
        self._free.append(slot)  # not filled again before the next `take`
        labels = self._dataset.labels
        return Rows(rows, None if labels is None else to_device(labels[ids], self._device), ids)

    def report(self) -> list[str]:
        return self._reader.report()

    def close(self) -> None:
        self._clear()
        self._pool.shutdown(wait=True, cancel_futures=True)
        self._reader.close()

    def _keep_shards_ahead(self, position: int) -> None:
        """Tell a remote dataset which shards are needed from here on, whenever that changes."""
        if self._dataset.is_local:
            return
        ahead = self.order.shards_ahead(position)
        if ahead != self._shards_ahead:
            self._shards_ahead = ahead
            self._dataset.keep_ahead(*ahead)

    def _submit(self, position: int) -> None:
        slot = self._free.popleft()
        if slot.copied is not None:
            slot.copied.synchronize()
            slot.copied = None
        ids = self.order.ids(position + self._part.offset, self._part.count)
        rows = as_stored(slot.rows, self._dataset)
        starts = range(0, len(ids), self._chunk)
        parts = [
            self._pool.submit(self._reader.read, ids[s : s + self._chunk], rows[s : s + self._chunk]) for s in starts
        ]
        self._queue.append(_Pending(position, slot, parts))

    def _wait_for(self, pending: _Pending) -> np.ndarray:
        """The ids that were read."""
        began = time.perf_counter()
        try:
            return np.concatenate([part.result() for part in pending.parts])
        except BaseException:
            self._settle(pending)
            self._clear()
            raise
        finally:
            self.wait_seconds += time.perf_counter() - began

    def _clear(self) -> None:
        """Forget what was read ahead."""
        while self._queue:
            self._settle(self._queue.popleft())

    def _settle(self, pending: _Pending) -> None:
        """Wait until no thread writes into a buffer any more, then free it."""
        for part in pending.parts:
            if not part.cancel():
                part.exception()
        self._free.append(pending.slot)
