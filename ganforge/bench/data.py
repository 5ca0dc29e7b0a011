"""How fast each reader is on given shards: wall time, and CPU time, which other work on the machine cannot blur."""

import itertools
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import torch

from ganforge.data.dataset import Dataset
from ganforge.data.loader import Loader
from ganforge.errors import DataError
from ganforge.loader_options import LoaderOptions, ReaderName

READERS: tuple[ReaderName, ...] = ("device", "host", "raw", "encoded", "webdataset")


@dataclass(frozen=True)
class Speed:
    """Measured speed of one reader.

    Attributes:
        reader: its name.
        start_seconds: from making the loader to its first batch.
        images_per_second: speed of whole batches on the device, as training gets them.
        images_per_cpu_second: the same by CPU time of all threads.
        rows_per_cpu_second: rows as they are stored, before scaling and layout, which an accelerator does itself.
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
    """Measure every reader that can read the dataset; for the others give the reason."""
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
    try:
        loader.next()
        start = time.perf_counter() - began
        wall, cpu = _rate(loader.next, seconds, device)
        positions = itertools.count(loader.position, batch_size)
        rows = _rate(lambda: loader.source.take(next(positions)), seconds / 2, device)[1]
    finally:
        loader.source.close()  # not the dataset, which the next reader needs
    return Speed(reader, start, wall * batch_size, cpu * batch_size, rows * batch_size)


def _rate(step: Callable[[], object], seconds: float, device: torch.device) -> tuple[float, float]:
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
