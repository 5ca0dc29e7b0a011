"""From the reader that was chosen to the source of batches that reads by it."""

import os
from dataclasses import dataclass
from pathlib import Path

import torch

from ganforge.data.batches.prefetched import PrefetchedSource
from ganforge.data.batches.resident import ResidentSource
from ganforge.data.batches.source import BatchSource, RankSlice
from ganforge.data.batches.streamed import StreamedSource
from ganforge.data.dataset import Dataset
from ganforge.data.order import Order
from ganforge.data.readers.base import Reader
from ganforge.data.readers.direct import DirectReader
from ganforge.data.readers.host import HostReader
from ganforge.loader_options import LoaderOptions, ReaderName


@dataclass(frozen=True)
class NodeRank:
    """Which of the ranks on its node a process is; they share its cores and its cache folder.

    Args:
        rank: from 0.
        world_size: ranks on this node.
    """

    rank: int = 0
    world_size: int = 1


def make_source(
    dataset: Dataset,
    name: ReaderName,
    options: LoaderOptions,
    part: RankSlice,
    node: NodeRank,
    *,
    seed: int,
    device: torch.device,
    cache_dir: Path,
) -> BatchSource:
    """Batches of a dataset by the reader `name`, which can read it.

    Raises:
        DataError: the cache is too small, the disk is full, or too much is unreadable.
    """
    limit_bytes = options.cache_limit_bytes
    dataset.prepare(cache_dir, limit_bytes)
    if name == "webdataset":
        return StreamedSource(dataset, part, device, seed=seed, max_corrupt=options.max_corrupt)
    order = Order(dataset.shard_sizes, seed=seed, window=dataset.window(options.window, limit_bytes))
    workers = options.workers or default_workers(node.world_size)
    reader = _make_reader(dataset, name, options, node, cache_dir, workers)
    if name == "device":
        return ResidentSource(dataset, reader, order, part, device)
    return PrefetchedSource(dataset, reader, order, part, device, workers=workers, depth=options.prefetch)


def _make_reader(
    dataset: Dataset, name: ReaderName, options: LoaderOptions, node: NodeRank, cache_dir: Path, workers: int
) -> Reader:
    is_encoded = dataset.codec not in ("array", "raw")
    if name == "host" or (name == "device" and is_encoded and node.world_size > 1):
        return HostReader(dataset, cache_dir, options.max_corrupt, node.rank, node.world_size, workers)
    return DirectReader(name, dataset, options.max_corrupt)


def default_workers(local_world_size: int) -> int:
    """Threads a rank gets of the cores it may use, at most 16."""
    return max(1, min(16, len(os.sched_getaffinity(0)) // max(1, local_world_size)))
