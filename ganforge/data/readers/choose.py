"""Which reader `auto` takes, and why."""

import os
import shutil
from dataclasses import dataclass
from pathlib import Path

import torch

from ganforge.data.dataset import Dataset
from ganforge.errors import DataError
from ganforge.loader_options import ReaderName
from ganforge.wording import counted

_SMALL = 256 * 2**20
_DEVICE_SHARE = 0.25
_MEMORY_SHARE = 0.5


@dataclass(frozen=True)
class Choice:
    """A reader and the reason for it, for people."""

    reader: ReaderName
    reason: str


def choose(
    dataset: Dataset, wanted: ReaderName, device: torch.device, cache_dir: Path, local_world_size: int = 1
) -> Choice:
    """Settle on a reader.

    Raises:
        DataError: the wanted one cannot read this dataset.
    """
    is_raw, is_stream = dataset.is_strided, dataset.codec == "stream"
    if wanted != "auto":
        _check(dataset, wanted, is_raw, is_stream)
        return Choice(wanted, "as the recipe says")
    if is_stream:
        return Choice("webdataset", "the source has no index")
    if dataset.codec == "array":
        return Choice("device", "the samples are in memory")
    if not dataset.is_local:
        return Choice("raw" if is_raw else "encoded", "shards are fetched as they are needed")
    size = dataset.decoded_bytes
    text = f"{size / 1e9:.2f} GB decoded"
    if size <= _SMALL and (is_raw or device.type != "cpu"):
        return Choice("device", f"{text} are little")
    if device.type == "cuda":
        free = torch.cuda.mem_get_info(device)[0]
        if size <= _DEVICE_SHARE * free:
            return Choice("device", f"{text}, {free / 1e9:.0f} GB free on the device")
    if is_raw:
        return Choice("raw", f"{text}, read in place")
    memory = available_memory()
    disk = shutil.disk_usage(existing_parent(cache_dir)).free
    if size <= _MEMORY_SHARE * memory and 1.2 * size <= disk:
        ranks = counted(local_world_size, "rank")
        return Choice("host", f"{text}, {memory / 1e9:.0f} GB of memory free, shared by {ranks}")
    return Choice("encoded", f"{text} are too much for {memory / 1e9:.0f} GB of memory")


def _check(dataset: Dataset, wanted: ReaderName, is_raw: bool, is_stream: bool) -> None:
    if wanted == "webdataset" or is_stream:
        if not dataset.is_streamable:
            raise DataError("data.reader: 'webdataset' reads shards only; use 'auto'")
        if is_stream and wanted != "webdataset":
            raise DataError(f"data.reader: '{wanted}' needs an index and the source has none; use 'webdataset'")
        return
    if dataset.codec == "array" and wanted != "device":
        raise DataError(f"data.reader: '{wanted}' reads shards, this dataset is in memory; use 'auto' or 'device'")
    if wanted == "raw" and not is_raw:
        raise DataError(
            "data.reader: 'raw' needs shards of raw arrays; pack with `ganforge data pack --codec raw`, or use 'auto'"
        )


def available_memory() -> int:
    """Bytes that can be used without swapping, within the limit of a container."""
    free = os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    meminfo = Path("/proc/meminfo")
    if meminfo.exists():
        for line in meminfo.read_text().splitlines():
            if line.startswith("MemAvailable:"):
                free = int(line.split()[1]) * 1024
    limit, used = Path("/sys/fs/cgroup/memory.max"), Path("/sys/fs/cgroup/memory.current")
    if limit.exists() and used.exists() and limit.read_text().strip().isdigit():
        free = min(free, max(0, int(limit.read_text()) - int(used.read_text())))
    return free


def existing_parent(path: Path) -> Path:
    """The nearest folder on the way up that exists."""
    path = path.absolute()
    while not path.exists():
        path = path.parent
    return path
