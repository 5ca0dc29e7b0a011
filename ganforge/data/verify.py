"""Reading a whole dataset to prove that it is what its manifest says."""

import hashlib
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import numpy as np

from ganforge.data.shards.dataset import ShardDataset
from ganforge.data.shards.tarindex import parse_idx, read_idx, scan_tar
from ganforge.errors import DataError

_PIECE = 256
_PIECE_BYTES = 64 * 2**20


@dataclass
class Report:
    """What `verify` found.

    Attributes:
        shards: shards that were read.
        samples: samples that were decoded.
        problems: one line each, naming shard and key.
    """

    shards: int = 0
    samples: int = 0
    problems: list[str] = field(default_factory=list)


def verify(dataset: ShardDataset, progress: Callable[[int, int], None] | None = None) -> Report:
    """Hash every shard, compare its index with the tar itself, and decode every sample."""
    report = Report()
    for number, shard in enumerate(dataset.manifest.shards):
        report.shards += 1
        try:
            report.problems += _check_files(dataset, number)
            opened = dataset.shard(number)
            start = int(sum(dataset.shard_sizes[:number]))
            piece = max(1, min(_PIECE, _PIECE_BYTES // (math.prod(dataset.row_shape) * dataset.dtype.itemsize)))
            for ids in _pieces(start, start + shard.count, piece):
                rows = np.empty((len(ids), *dataset.row_shape), dataset.dtype)
                report.problems += [str(problem) for problem in dataset.read(ids, rows).values()]
                report.samples += len(ids)
            del opened
        except DataError as error:
            report.problems.append(str(error))
        if progress is not None:
            progress(number + 1, len(dataset.manifest.shards))
    return report


def _check_files(dataset: ShardDataset, number: int) -> Iterator[str]:
    shard = dataset.manifest.shards[number]
    tar, idx = dataset.store.tar(number), dataset.store.idx(number)
    if not tar.exists():
        return  # opening it says so
    with open(tar, "rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    if shard.sha256 and digest != shard.sha256:
        yield f"{tar}: sha256 is {digest[:12]}..., the manifest says {shard.sha256[:12]}...; copy or pack it again"
    found = scan_tar(tar)
    listed = parse_idx(read_idx(idx, shard.bytes), str(idx), shard.bytes)
    places, wanted = ([[m[:3] for m in sample] for sample in samples] for samples in (found, listed))
    if dataset.rules:  # of others: what makes a sample was decided, and not all that is there was taken
        there = {member for sample in places for member in sample}
        agree = len(listed) == shard.count and all(member in there for sample in wanted for member in sample)
        found = listed
    else:
        agree = places == wanted
    if len(found) != shard.count:
        yield f"{tar}: holds {len(found)} samples, the manifest says {shard.count}; pack the dataset again"
    if not agree:
        yield f"{idx}: does not describe {tar.name}; make it again with `ganforge data index`"
    if dataset.labels is not None:
        start = int(sum(dataset.shard_sizes[:number]))
        with open(tar, "rb") as file:
            for local, sample in enumerate(found[: shard.count]):
                member = next((m for m in sample if m.extension == "cls"), None)
                if member is None:
                    continue
                file.seek(member.offset)
                text, label = file.read(min(member.size, 32)), int(dataset.labels[start + local])
                if text.strip() not in (str(label).encode(), dataset.spec.classes[label].encode()[:32]):
                    yield f"{tar}: {member.name}: label {text!r} is not the {label} of labels.npy"


def _pieces(start: int, stop: int, piece: int) -> Iterator[np.ndarray]:
    for begin in range(start, stop, piece):
        yield np.arange(begin, min(begin + piece, stop))
