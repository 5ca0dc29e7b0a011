"""How fast each reader is on given shards: wall time, and CPU time, which other work on the machine cannot blur."""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import numpy as np
import torch

from ganforge.data.dataset import Dataset
from ganforge.data.loader import Loader
from ganforge.data.order import Order
from ganforge.data.readers.base import Reader
from ganforge.errors import DataError
from ganforge.loader_options import LoaderOptions, ReaderName

READERS: tuple[ReaderName, ...] = ("device", "host", "raw", "encoded", "webdataset")


@dataclass(frozen=True)
class Speed:
    """What one reader did.

    Attributes:
        reader: its name.
        start_seconds: from making the loader to its first batch.
        images_per_second: whole batches on the device, as training gets them.
        images_per_cpu_second: the same by CPU time of all threads.
        rows_per_cpu_second: uint8 rows in order, before scaling and layout, which an accelerator does itself;
            0 for a stream.
    """

    reader: str
    start_seconds: float
    images_per_second: float
    images_per_cpu_second: float
    rows_per_cpu_second: float


def bench(
    dataset: Dataset,
    batch_size: int,
    device: torch.device,
    cache_dir: Path,
    seconds: float,
    options: LoaderOptions | None = None,
) -> Iterator[Speed | DataError]:
    """Measure every reader that can read the dataset; the reason for those that cannot."""
    for reader in READERS:
        try:
            yield bench_reader(dataset, reader, batch_size, device, cache_dir, seconds, options)
        except DataError as error:
            yield error


def bench_reader(
    dataset: Dataset,
    reader: ReaderName,
    batch_size: int,
    device: torch.device,
    cache_dir: Path,
    seconds: float,
    options: LoaderOptions | None = None,
) -> Speed:
    """Measure one reader.

    Raises:
        DataError: it cannot read the dataset.
    """
    began = time.perf_counter()
    loader = Loader(dataset, batch_size=batch_size, options=options, reader=reader, device=device, cache_dir=cache_dir)
    loader.next()
    start = time.perf_counter() - began

    def step() -> None:
        loader.next()

    wall, cpu = _rate(step, seconds, device)
    rows = 0.0
    if reader == "device":
        rows = _rate(_select(loader, batch_size), seconds / 2, device)[1]
    elif loader._prefetcher is not None:
        rows = _rate(_rows(dataset, loader._prefetcher.reader, batch_size), seconds / 2, device)[1]
    if loader._prefetcher is not None:
        loader._prefetcher.close()  # and not the dataset, which the next reader needs
    return Speed(reader, start, wall * batch_size, cpu * batch_size, rows * batch_size)


def _select(loader: Loader, batch_size: int) -> Callable[[], None]:
    store, order = loader._store, loader.order
    assert store is not None
    numbers = iter(range(10**9))
    return lambda: cast(None, store.select(order.batch(next(numbers), batch_size)))


def _rows(dataset: Dataset, reader: Reader, batch_size: int) -> Callable[[], None]:
    order = Order(dataset.shard_sizes, seed=1)
    out = np.empty((batch_size, *dataset.row_shape), dataset.dtype)
    numbers = iter(range(10**9))
    return lambda: cast(None, reader.read(order.batch(next(numbers), batch_size), out))


def _rate(step: Callable[[], None], seconds: float, device: torch.device) -> tuple[float, float]:
    """Steps per second of wall time and of CPU time."""
    step()
    _wait_for(device)
    wall, cpu, count = time.perf_counter(), time.process_time(), 0
    while time.perf_counter() - wall < seconds or count < 3:
        step()
        count += 1
    _wait_for(device)
    return count / (time.perf_counter() - wall), count / max(1e-9, time.process_time() - cpu)


def _wait_for(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)
