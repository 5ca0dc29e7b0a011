"""Millions of samples as labelled WebDataset shards, by any number of processes, that training reads like any dataset.

Shard k holds samples [k * per_shard, (k + 1) * per_shard), made in batches that begin at fixed indices, so its bytes do
not depend on the number of ranks or on when a process was killed. Rank r of W makes shards r, r + W, ...; ranks never
wait for each other: each finished shard leaves a note beside it, and whoever finds all notes there writes the
manifest and gives the folder its name. So one rank may be late, die, or be started again alone.
"""

import hashlib
import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pydantic

from ganforge.data.depth import stored_values
from ganforge.data.packing import CHUNK, Job, pack_chunk
from ganforge.data.pictures import Fit
from ganforge.data.shards.manifest import FILE_NAME, LABELS_NAME, Manifest, Shard, version_for
from ganforge.data.shards.writer import ShardWriter
from ganforge.data.sources.base import Item, Source
from ganforge.data.values import ValueRange
from ganforge.errors import GanforgeError
from ganforge.files import write_text
from ganforge.sampling.draw import Sampler
from ganforge.sampling.shardplan import PLAN_NAME, ShardPlan, begin, check_complete, for_people, make_plan
from ganforge.wording import counted

Progress = Callable[[int, int], None]


def write_shards(
    sampler: Sampler,
    out: Path,
    *,
    num: int,
    per_shard: int = 0,
    rank: int = 0,
    world_size: int = 1,
    progress: Progress | None = None,
) -> str:
    """This rank's part of the shards, and the manifest if they are complete with it; goes on after a kill.

    Args:
        sampler: sampler of pictures.
        out: folder of the dataset; while it is not complete it is called `OUT.partial`.
        num: samples in all.
        per_shard: samples in a shard; 0 for as many as 128 MB hold undecoded, at most 8,192.
        rank: rank of this process.
        world_size: processes that share the work.
        progress: called with this rank's finished and planned samples.

    Returns:
        a line that says what has been written.

    Raises:
        GanforgeError: the generator makes points, `out` is something else, or the disk is full.
    """
    plan = make_plan(sampler, num, per_shard)
    partial = out.with_name(out.name + ".partial")
    own = range(rank, plan.num_shards, world_size)
    try:
        if out.exists():
            return check_complete(out, plan)
        begin(partial, plan, out)
        total = sum(len(plan.indices(shard)) for shard in own)
        done = 0
        for number in own:
            if _finished(partial, number) is None:
                _write_shard(sampler, partial, number, plan)
            done += len(plan.indices(number))
            if progress is not None:
                progress(done, total)
        if _finish(sampler, partial, out, plan):
            return f"{counted(num, 'sample')} in {counted(plan.num_shards, 'shard')} in {out}"
    except OSError as error:
        if (out / FILE_NAME).exists():  # another rank has just given it its name
            return f"{counted(num, 'sample')} in {counted(plan.num_shards, 'shard')} in {out}"
        reason = error.strerror or error
        raise GanforgeError(f"{partial}: cannot be written: {reason}; run the same command again to go on") from error
    made = counted(len(own), "shard")
    return f"rank {rank} of {world_size} has made its {made}; the last rank to finish completes {out}"


def _note(folder: Path, number: int) -> Path:
    return folder / f"shard-{number:06d}.json"


def _finished(folder: Path, number: int) -> Shard | None:
    """The shard, if it is complete in the folder."""
    try:
        shard = Shard.model_validate_json(_note(folder, number).read_text())
        is_whole = (folder / shard.name).stat().st_size == shard.bytes and (folder / shard.index_name).exists()
    except (OSError, pydantic.ValidationError):
        return None
    return shard if is_whole else None


class _Made(Source):
    """Generated pictures of one batch, by their index, as packing wants them.

    Args:
        start: index of the first picture.
        pixels: `(batch, height, width, channels)` in the values of the data.
        labels: int64 `(batch,)`, or None.
        classes: names of the classes; empty without labels.
        has_alpha: whether the last channel is opacity.
    """

    def __init__(
        self, start: int, pixels: np.ndarray, labels: np.ndarray | None, classes: tuple[str, ...], has_alpha: bool
    ) -> None:
        self.classes = classes
        self._start = start
        self._pixels = pixels
        self._labels = labels
        self._has_alpha = has_alpha

    def __len__(self) -> int:
        return len(self._pixels)

    def item(self, index: int) -> Item:
        place = index - self._start
        label = -1 if self._labels is None else int(self._labels[place])
        return Item(self._pixels[place], label, f"sample {index}", self._has_alpha)


def _write_shard(sampler: Sampler, folder: Path, number: int, plan: ShardPlan) -> None:
    spec = sampler.config.spec
    limits = None if spec.dtype == "uint8" else ValueRange(*spec.limits)
    fit = Fit(spec.height, spec.width, "none", spec.channels, limits, spec.dtype, spec.has_alpha)
    writer = ShardWriter(folder / f"shard-{number:06d}.tar")
    for indices, samples in sampler.batches(plan.indices(number)):
        labels = sampler.labels(indices) if plan.classes else None
        source = _Made(
            indices.start,
            stored_values(samples, spec),
            None if labels is None else labels.cpu().numpy(),
            plan.classes,
            spec.has_alpha,
        )
        for start in indices[::CHUNK]:
            chunk = pack_chunk(Job(source, fit, plan.codec, keep=False), start, min(start + CHUNK, indices.stop))
            assert not chunk.bad, chunk.bad
            writer.add(chunk.tar, chunk.samples)
    write_text(_note(folder, number), writer.close().model_dump_json() + "\n")


def _finish(sampler: Sampler, partial: Path, out: Path, plan: ShardPlan) -> bool:
    """Write labels and manifest and rename the folder, if all shards are complete."""
    shards = []
    for number in range(plan.num_shards):
        shard = _finished(partial, number)
        if shard is None:
            return False
        shards.append(shard)
    labels_sha256 = ""
    if plan.classes:
        labels = sampler.labels(range(plan.num))
        assert labels is not None
        np.save(partial / LABELS_NAME, labels.cpu().numpy())
        labels_sha256 = hashlib.sha256((partial / LABELS_NAME).read_bytes()).hexdigest()
    spec = sampler.config.spec
    manifest = Manifest(
        version=version_for(spec.dtype, spec.has_alpha),
        count=plan.num,
        shape=spec.shape,
        dtype=spec.dtype,
        values=None if spec.dtype == "uint8" else spec.limits,
        has_alpha=spec.has_alpha,
        classes=plan.classes,
        codec=plan.codec,
        shards=tuple(shards),
        labels_sha256=labels_sha256,
        made_with=for_people(plan),
    )
    write_text(partial / FILE_NAME, manifest.dump())
    os.rename(partial, out)
    for number in range(plan.num_shards):
        _note(out, number).unlink(missing_ok=True)
    (out / PLAN_NAME).unlink(missing_ok=True)
    return True
