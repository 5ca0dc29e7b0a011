"""Decode once: the ranks of a node fill a file of the cache folder together, and all map it.

The file is cut into blocks. A rank claims a block by its file lock, decodes it, and leaves a mark;
a lock whose holder dies is free again, and a block without a mark is written again. So the file
survives restarts at any moment, and no rank waits for another that is gone.
"""

import json
import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
from filelock import FileLock, Timeout

from ganforge.data.dataset import Dataset, Unreadable
from ganforge.data.faults import Faults
from ganforge.data.readers.base import Reader
from ganforge.errors import DataError

_BLOCK_BYTES = 64 * 2**20
_PIECE = 64
_ROWS = "rows.u8"
"""Bytes of the samples, of whatever type."""


class HostReader(Reader):
    """Samples from a decoded file that all ranks of the node share.

    Args:
        dataset: to decode.
        cache_dir: where the file lives.
        max_corrupt: see `LoaderOptions`.
        local_rank: of this process on its node; ranks begin at different blocks.
        local_world_size: ranks on the node.
        workers: threads that decode.

    Raises:
        DataError: the disk is full, or too much is unreadable.
    """

    name = "host"
    chunk = 256

    def __init__(
        self,
        dataset: Dataset,
        cache_dir: Path,
        max_corrupt: float,
        local_rank: int = 0,
        local_world_size: int = 1,
        workers: int = 1,
    ) -> None:
        self._faults = Faults(dataset, max_corrupt)
        self._row_bytes = int(np.prod(dataset.row_shape)) * dataset.dtype.itemsize
        self._per_block = max(1, _BLOCK_BYTES // self._row_bytes)
        self._blocks = -(-len(dataset) // self._per_block)
        self.folder = cache_dir / "decoded" / dataset.digest[:32]
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            self._fill(dataset, local_rank * self._blocks // max(1, local_world_size), workers)
        except OSError as error:
            raise DataError(
                f"{self.folder}: cannot be written: {error.strerror or error}; free space, or set "
                "data.reader to 'encoded'"
            ) from error
        self._rows = np.memmap(self.folder / _ROWS, dataset.dtype, "r", shape=(len(dataset), *dataset.row_shape))
        self._collect(len(dataset))

    def read(self, ids: np.ndarray, out: np.ndarray) -> np.ndarray:
        np.take(self._rows, ids, axis=0, out=out, mode="clip")  # `clip` lets numpy write without a buffer
        return self._faults.substitute(ids)

    def report(self) -> list[str]:
        return self._faults.report()

    def _mark(self, block: int) -> Path:
        return self.folder / f"block-{block:06d}.json"

    def _fill(self, dataset: Dataset, first: int, workers: int) -> None:
        todo = [(first + number) % self._blocks for number in range(self._blocks)]
        todo = [block for block in todo if not self._mark(block).exists()]
        if not todo:
            return
        file = os.open(self.folder / _ROWS, os.O_RDWR | os.O_CREAT, 0o644)
        try:
            os.ftruncate(file, len(dataset) * self._row_bytes)
            with ThreadPoolExecutor(workers) as pool:
                # First whatever nobody else works on, then wait for what others had claimed.
                busy = [block for block in todo if not self._claim(dataset, block, file, pool, timeout=0)]
                for block in busy:
                    self._claim(dataset, block, file, pool, timeout=-1)
        finally:
            os.close(file)

    def _claim(self, dataset: Dataset, block: int, file: int, pool: ThreadPoolExecutor, timeout: float) -> bool:
        """Decode a block unless it is done; False if another rank holds it and `timeout` seconds passed."""
        try:
            with FileLock(self.folder / f"block-{block:06d}.lock", timeout=timeout):
                if not self._mark(block).exists():
                    self._decode(dataset, block, file, pool)
        except Timeout:
            return False
        return True

    def _decode(self, dataset: Dataset, block: int, file: int, pool: ThreadPoolExecutor) -> None:
        begin = block * self._per_block
        end = min(begin + self._per_block, len(dataset))
        known = set(self._faults.problems)

        def piece(start: int) -> None:
            ids = np.arange(start, min(start + _PIECE, end))
            rows = np.empty((len(ids), *dataset.row_shape), dataset.dtype)
            self._faults.read(ids, rows)
            # Written, not mapped: a full disk is then an error with a name instead of a bus error.
            view, position = memoryview(rows.data).cast("B"), start * self._row_bytes
            while view:
                written = os.pwrite(file, view, position)
                view, position = view[written:], position + written

        list(pool.map(piece, range(begin, end, _PIECE)))
        os.fsync(file)
        new = {sample: problem for sample, problem in self._faults.problems.items() if sample not in known}
        rows = [
            [sample, self._faults.replaced[sample], p.key, p.reason]
            for sample, p in new.items()
            if begin <= sample < end
        ]
        temporary = self._mark(block).with_suffix(f".{os.getpid()}.tmp")
        temporary.write_text(json.dumps({"bad": rows}))
        os.replace(temporary, self._mark(block))
        dataset.release()

    def _collect(self, count: int) -> None:
        """What every rank found unreadable, so that all of them replace and count the same."""
        problems = {}
        for block in range(self._blocks):
            for sample, other, key, reason in json.loads(self._mark(block).read_text())["bad"]:
                problems[sample] = Unreadable(key, reason)
                self._faults.replaced[sample] = other
        self._faults.problems.clear()
        self._faults.add(problems.items(), seen=count)
