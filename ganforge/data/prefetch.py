"""Batches read ahead by threads into pinned buffers that are used again."""

import os
import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
import torch

from ganforge.data.readers.base import Reader

IdsOf = Callable[[int], np.ndarray]


def default_workers(local_world_size: int) -> int:
    """Threads a rank gets of the cores it may use, at most 16."""
    return max(1, min(16, len(os.sched_getaffinity(0)) // max(1, local_world_size)))


@dataclass
class _Slot:
    """A buffer of one batch, and when the device has finished copying from it."""

    rows: torch.Tensor
    copied: torch.cuda.Event | None = None


@dataclass
class Pending:
    """A batch on its way: which one it is and the parts that threads read."""

    step: int
    ids: np.ndarray
    slot: _Slot
    parts: list[Future[np.ndarray]]


class Prefetcher:
    """Reads batches step, step + 1, ... ahead of their use.

    Args:
        reader: where samples come from.
        count: samples a batch.
        row_shape: of a sample.
        dtype: of a sample.
        device: where batches go; pinned buffers for an accelerator.
        workers: threads.
        depth: batches ahead.
    """

    def __init__(
        self,
        reader: Reader,
        count: int,
        row_shape: tuple[int, ...],
        dtype: torch.dtype,
        device: torch.device,
        workers: int,
        depth: int,
    ) -> None:
        self.reader = reader
        self._pool = ThreadPoolExecutor(workers, thread_name_prefix="ganforge-data")
        self._device = device
        self._depth = depth
        self._queue: deque[Pending] = deque()
        pin = device.type == "cuda"
        self._free = deque(
            _Slot(torch.empty((count, *row_shape), dtype=dtype, pin_memory=pin)) for _ in range(depth + 1)
        )
        self._chunk = max(1, min(reader.chunk, -(-count // workers)))
        self.wait_seconds = 0.0

    def take(self, step: int, ids_of: IdsOf) -> tuple[np.ndarray, torch.Tensor, _Slot]:
        """Batch number `step`: the ids that were read, and the rows on the host; then reads on ahead."""
        if self._queue and self._queue[0].step != step:
            self.clear()
        while len(self._queue) < self._depth:
            self._submit(step + len(self._queue), ids_of)
        pending = self._queue.popleft()
        began = time.perf_counter()
        try:
            actual = np.concatenate([part.result() for part in pending.parts])
        except BaseException:
            self._settle(pending)
            self.clear()
            raise
        finally:
            self.wait_seconds += time.perf_counter() - began
        return actual, pending.slot.rows, pending.slot

    def give_back(self, slot: _Slot) -> None:
        """The rows have been used; for an accelerator, as soon as its copy is done."""
        if self._device.type == "cuda":
            slot.copied = torch.cuda.Event()
            slot.copied.record()
        self._free.append(slot)

    def clear(self) -> None:
        """Forget what was read ahead."""
        while self._queue:
            self._settle(self._queue.popleft())

    def close(self) -> None:
        """Stop the threads."""
        self.clear()
        self._pool.shutdown(wait=True, cancel_futures=True)

    def _submit(self, step: int, ids_of: IdsOf) -> None:
        slot = self._free.popleft()
        if slot.copied is not None:
            slot.copied.synchronize()
            slot.copied = None
        ids = ids_of(step)
        rows = slot.rows.numpy()
        starts = range(0, len(ids), self._chunk)
        parts = [
            self._pool.submit(self.reader.read, ids[s : s + self._chunk], rows[s : s + self._chunk]) for s in starts
        ]
        self._queue.append(Pending(step, ids, slot, parts))

    def _settle(self, pending: Pending) -> None:
        """Wait until no thread writes into a buffer any more, then free it."""
        for part in pending.parts:
            if not part.cancel():
                part.exception()
        self._free.append(pending.slot)
