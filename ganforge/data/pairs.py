"""Pairs of pictures: each sample of one dataset beside that of the same number of another, which it is made of."""

import hashlib
from pathlib import Path

import numpy as np

from ganforge.data.dataset import Dataset, Unreadable
from ganforge.data.shards.dataset import ShardDataset
from ganforge.data.shards.registered import open_shards
from ganforge.errors import DataError
from ganforge.registry import register


class Pairs(Dataset):
    """Targets and their sources as one dataset, whose rows have the channels of both.

    So readers, caches, order, windows, flips, shifts and turns are those of any dataset, and both halves move alike.

    Args:
        targets: what a translator should make.
        sources: what it is given; of the same number and keys, and of the same height and width.

    Raises:
        DataError: they do not belong together; says where they differ first.
    """

    def __init__(self, targets: ShardDataset, sources: ShardDataset) -> None:
        _check(targets, sources)
        self.targets = targets
        self.sources = sources
        self.spec = targets.spec
        self.source = sources.spec
        self.digest = hashlib.sha256(f"pairs {targets.digest} {sources.digest}".encode()).hexdigest()
        self.labels = targets.labels
        self.is_strided = targets.is_strided and sources.is_strided
        self.codec = next((half.codec for half in (targets, sources) if half.codec != "raw"), "raw")
        self.shard_sizes = targets.shard_sizes
        self.is_local = targets.is_local and sources.is_local

    def read(self, ids: np.ndarray, out: np.ndarray) -> dict[int, Unreadable]:
        channels = self.spec.channels
        failures: dict[int, Unreadable] = {}
        for dataset, place in ((self.targets, slice(channels)), (self.sources, slice(channels, None))):
            rows = np.empty((len(ids), *dataset.row_shape), dataset.dtype)
            failures = {**dataset.read(ids, rows), **failures}
            out[..., place] = rows
        return failures

    def key(self, sample: int) -> str:
        return self.targets.key(sample)

    def prepare(self, cache_dir: Path, cache_limit_bytes: int) -> None:
        self.targets.prepare(cache_dir, cache_limit_bytes)
        self.sources.prepare(cache_dir, cache_limit_bytes)

    def describe_decoder(self) -> str:
        return self.targets.describe_decoder()

    def release(self) -> None:
        self.targets.release()
        self.sources.release()

    def close(self) -> None:
        self.targets.close()
        self.sources.close()


def _check(targets: ShardDataset, sources: ShardDataset) -> None:
    """Refuse halves that do not belong together.

    Raises:
        DataError: saying where they differ first.
    """
    where = f"data: targets '{targets.store.where}' and sources '{sources.store.where}'"
    if len(targets) != len(sources):
        counts = f"{len(targets):,} and {len(sources):,} samples"
        raise DataError(f"{where} are not pairs: {counts}; two packs leave out different pictures if some are damaged")
    if targets.spec.shape[1:] != sources.spec.shape[1:]:
        raise DataError(
            f"{where} are not of one size: {targets.spec} and {sources.spec}; pack both to one with "
            "`ganforge data pack --size`, or compute small sources with [[degrade]]"
        )
    for sample in range(len(targets)):
        one, other = (name_of(dataset.key(sample)) for dataset in (targets, sources))
        if one != other:
            raise DataError(
                f"{where} are not pairs: sample {sample} is '{one}' in one and '{other}' in the other; pack both from "
                "files of equal names"
            )


def name_of(key: str) -> str:
    """A sample's name without its shard and its extension, from `Dataset.key`."""
    return key.rpartition(": ")[2].split(".", 1)[0]


@register.dataset("pairs")
def pairs(
    cache_dir: Path,
    cache_limit_bytes: int,
    *,
    target: str,
    source: str,
) -> Pairs:
    """Pictures and what they are to be made of, for translation: two datasets of shards, number by number.

    Both are what `ganforge data pack` makes, of files with equal names; `--half left` and `--half right` make the two
    of files that hold both pictures side by side, as those of pix2pix do.

    Args:
        target: folder, tars or urls of what a translator should make.
        source: the same of what it is given.
    """
    halves = [open_shards(path, cache_dir, None, cache_limit_bytes) for path in (target, source)]
    return Pairs(*halves)
