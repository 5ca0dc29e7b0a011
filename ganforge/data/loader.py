"""Full batches without end, the same for any number of ranks, resumed by one integer.

    with Loader(dataset, batch_size=128, rank=rank, world_size=world_size, device=device) as loader:
        for batch in loader:
            ...

Never hand this to `accelerator.prepare`: that would shard it a second time and read one batch ahead.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ganforge.data.batches.make import NodeRank, make_source
from ganforge.data.batches.source import RankSlice
from ganforge.data.dataset import Dataset
from ganforge.data.readers.choose import choose
from ganforge.data.transform import Transform
from ganforge.data.windows import RandomWindows, Windowed, check_window
from ganforge.division import undivided
from ganforge.errors import DataError
from ganforge.files import user_cache
from ganforge.loader_options import LoaderOptions


@dataclass(slots=True)
class Batch:
    """One rank's slice of a global batch, on the device.

    Attributes:
        samples: float32 in [-1, 1], `(batch, channels, height, width)`; points as they are, `(batch, dimensions)`.
        labels: int64 `(batch,)`, or None.
        ids: numbers of the samples in the dataset, on the host; empty when a stream has none.
        source: the samples' other halves, `(batch, *dataset.source.shape)` in [-1, 1], of datasets of pairs; else None.
    """

    samples: Tensor
    labels: Tensor | None
    ids: np.ndarray
    source: Tensor | None = None


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
        cache_dir: folder for decoded and fetched data; by default the user's, as for a recipe.
        channels_last: lay pictures out as `torch.channels_last`, for networks that are; the values are the same.
        overrides: options by keyword, such as `flip=True`.

    Attributes:
        position: samples of the endless order that were taken so far, by all ranks together.
        source: where the batches come from, as they are stored.
        choice: the reader that was taken and why.

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
        cache_dir: Path | str | None = None,
        channels_last: bool = False,
        **overrides: Any,
    ) -> None:
        check_batch_size(batch_size, world_size)
        options = LoaderOptions(**{**(options.model_dump() if options else {}), **overrides})
        cut = options.cut or (dataset.size if isinstance(dataset, Windowed) else None)
        dataset = dataset.whole if isinstance(dataset, Windowed) else dataset
        if cut is not None:
            check_window(dataset, cut)
        if options.crop and dataset.spec.is_image and options.crop >= min(dataset.spec.shape[1:]):
            raise DataError(f"data.crop: {options.crop} pixels are more than a picture of {dataset.spec} has; lower it")
        self.dataset = dataset
        self.options = options
        self.batch_size = batch_size
        self.device = torch.device(device)
        self.position = 0
        part = RankSlice(batch_size, rank, world_size)
        node = NodeRank(
            rank if local_rank is None else local_rank, world_size if local_world_size is None else local_world_size
        )
        folder = user_cache() if cache_dir is None else Path(cache_dir)
        self.choice = choose(dataset, options.reader, self.device, folder, node.world_size)
        self.source = make_source(
            dataset, self.choice.reader, options, part, node, seed=seed, device=self.device, cache_dir=folder
        )
        self._windows = None
        if cut is not None:
            self._windows = RandomWindows(seed, cut, (dataset.spec.height, dataset.spec.width), part, self.device)
        self._offset = part.offset
        self._is_image = dataset.spec.is_image
        self._transform = Transform(
            seed,
            part,
            self.device,
            flip=options.flip,
            crop=options.crop,
            rotate=options.rotate,
            channels_last=channels_last,
            spec=dataset.spec,
        )

    def next(self) -> Batch:
        """This rank's slice of the next global batch; always full.

        Raises:
            DataError: too many samples are unreadable, or a shard cannot be had.
        """
        rows, labels, ids = self.source.take(self.position)
        start = self.position + self._offset
        if self._windows is not None:
            rows = self._windows(rows, start)
        samples = self._transform(rows, start) if self._is_image else rows
        self.position += self.batch_size
        if self.dataset.source is None:
            return Batch(samples, labels, ids)
        targets, sources = samples.split((self.dataset.spec.channels, self.dataset.source.channels), dim=1)
        return Batch(targets.contiguous(), labels, ids, sources.contiguous())

    def __iter__(self) -> "Loader":
        return self

    def __next__(self) -> Batch:
        return self.next()

    def seek(self, position: int) -> None:
        """Go on with the batch that begins at sample `position` of the endless order; costs nothing."""
        assert position >= 0, "the order begins at 0"
        self.position = position

    def state_dict(self) -> dict[str, int]:
        """What has to be saved to go on: `samples`, how many were taken. The same on every rank."""
        return {"samples": self.position}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on at the sample after the last that was taken, whatever the number of ranks and the batch size then.

        Args:
            state: of `state_dict`; or, from before samples were counted, `batches` and the `batch_size` they had, by
                default this loader's.

        Raises:
            DataError: it is the state of something else.
        """
        samples = state.get("samples")
        if samples is None and isinstance(state.get("batches"), int):
            samples = state["batches"] * state.get("batch_size", self.batch_size)
        if not isinstance(samples, int) or samples < 0:
            raise DataError("the loader's state names no number of samples; give it what state_dict() returned")
        self.seek(samples)

    @property
    def wait_seconds(self) -> float:
        """Host time spent waiting for data so far."""
        return self.source.wait_seconds

    def remedy(self) -> str:
        """What helps when steps wait for data too long, for the trainer's warning."""
        if self.choice.reader == "device":
            return "the data is on the device already; look elsewhere"
        if not self.dataset.is_local:
            return "shards come too slowly: copy them to a local disk, or raise data.cache_limit_gb or data.workers"
        if self.choice.reader == "webdataset":
            return "pack the source with `ganforge data pack`: shards with an index are read many times faster"
        if self.choice.reader == "encoded":
            return (
                "set data.reader = 'host', pack smaller pictures with `ganforge data pack --codec raw`, or raise "
                "data.workers"
            )
        return "set data.reader = 'device' if it fits, or raise data.prefetch and data.workers"

    def unreadable(self) -> list[str]:
        """Key and reason of each sample that was replaced so far."""
        return self.source.report()

    def describe(self) -> str:
        """One line: which reader was taken and why."""
        decoder = self.dataset.describe_decoder() if self.choice.reader in ("encoded", "host") else ""
        threads = f"; {self.source.threads} threads" if self.source.threads else ""
        count = f"{len(self.dataset):,} samples" if len(self.dataset) else "a stream"
        return (
            f"{count}, {self.dataset.spec}; reader '{self.choice.reader}' "
            f"({self.choice.reason}{threads}{', ' + decoder if decoder else ''})"
        )

    def close(self) -> None:
        """Stop reading ahead and let go of files. The dataset opens them again if another loader reads it."""
        self.source.close()
        self.dataset.close()

    def __enter__(self) -> "Loader":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def check_batch_size(batch_size: int, world_size: int) -> None:
    """A global batch must divide over the ranks.

    Raises:
        DataError: it does not; names the two nearest sizes that do.
    """
    if text := undivided(batch_size, world_size):
        raise DataError(f"training.batch_size: {text}")
