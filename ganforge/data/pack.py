"""Packing: any source of pictures into shards, the same bytes every time, whole or not at all.

Workers turn chunks of 64 pictures into pieces of tar; this process strings the pieces together in
order, so the bytes do not depend on the number of workers. Everything is written to
`OUT.partial` and renamed at the end. A shard that is finished there stays finished: a killed pack
of the same source with the same options goes on after it.
"""

import hashlib
import json
import multiprocessing
import os
import shutil
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from filelock import FileLock

from ganforge.arguments import argument
from ganforge.data.conversions import Conversions, added_to
from ganforge.data.packing import CHUNK, Chunk, Job, pack_chunk, start_worker, work
from ganforge.data.packreport import REPORT_NAME, format_report
from ganforge.data.plan import PackOptions, PackPlan, make_plan
from ganforge.data.shards.manifest import FILE_NAME, LABELS_NAME, Manifest, Shard, version_for
from ganforge.data.shards.writer import ShardWriter
from ganforge.data.sources.base import Source
from ganforge.errors import DataError

Progress = Callable[[int, int], None]


@dataclass
class _Packed:
    """What is finished so far; each shard adds a line to `state.jsonl`."""

    shards: list[Shard] = field(default_factory=list)
    labels: list[int] = field(default_factory=list)
    bad: list[tuple[str, str]] = field(default_factory=list)
    codecs: set[str] = field(default_factory=set)
    conversions: Conversions = field(default_factory=dict)
    next_item: int = 0


def pack(source: Source, out: Path, options: PackOptions, progress: Progress | None = None) -> Manifest:
    """Pack a source into the folder `out`.

    Args:
        source: the pictures.
        out: a folder that does not exist yet.
        options: size, crop, codec and so on.
        progress: called with pictures done and pictures in all.

    Returns:
        the manifest that was written.

    Raises:
        DataError: `out` exists, too many pictures are bad, or the disk is full.
    """
    if out.exists():
        raise DataError(f"{out}: exists already; remove it or choose another name")
    if getattr(multiprocessing.current_process(), "_inheriting", False):
        # A worker that imports an unguarded script would pack again and wait for its parent's lock.
        raise RuntimeError("call pack() under `if __name__ == '__main__':`, since workers import the script again")
    plan = make_plan(source, options)
    out.parent.mkdir(parents=True, exist_ok=True)
    partial = out.with_name(out.name + ".partial")
    with FileLock(str(partial) + ".lock"):
        if out.exists():
            raise DataError(f"{out}: another process has just packed it")
        try:
            done = _resume(partial, plan)
            _write_shards(source, plan, partial, done, progress)
            manifest = _finish(partial, source, plan, done)
            os.rename(partial, out)
        except OSError as error:
            raise DataError(f"{partial}: cannot be written: {error.strerror or error}; pack again to go on") from error
    Path(str(partial) + ".lock").unlink(missing_ok=True)
    return manifest


def _resume(partial: Path, plan: PackPlan) -> _Packed:
    """What an earlier, killed pack of the same plan left; anything else is cleared away."""
    done = _Packed()
    plan_file, state_file = partial / "plan.json", partial / "state.jsonl"
    text = json.dumps(plan.to_dict(), sort_keys=True)
    if plan_file.exists() and plan_file.read_text() == text and state_file.exists():
        for line in state_file.read_text().splitlines():
            try:
                row = json.loads(line)
                shard = Shard.model_validate(row["shard"])
                if (partial / shard.name).stat().st_size != shard.bytes or not (partial / shard.index_name).exists():
                    break
            except (ValueError, KeyError, FileNotFoundError):
                break
            done.shards.append(shard)
            done.labels += row["labels"]
            done.bad += [(name, reason) for name, reason in row["bad"]]
            done.codecs |= set(row["codecs"])
            added_to(done.conversions, {kind: (count, name) for kind, (count, name) in row["conversions"].items()})
            done.next_item = row["next_item"]
        if done.shards:
            return done
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir()
    plan_file.write_text(text)
    return done


def _write_shards(source: Source, plan: PackPlan, partial: Path, done: _Packed, progress: Progress | None) -> None:
    writer: ShardWriter | None = None
    pending = _Packed()
    position, bad = done.next_item, len(done.bad)
    chunks = _chunks(Job(source, plan.fit, plan.codec, plan.keep, plan.max_pixels), position, plan.count, plan.workers)
    for chunk in chunks:
        position = min(position + CHUNK, plan.count)
        bad += len(chunk.bad)
        if bad > plan.max_bad:
            name, reason = (done.bad + pending.bad + chunk.bad)[0]
            raise DataError(
                f"{bad} of the first {position} pictures are unusable, {plan.max_bad} allowed; "
                f"the first, {name}, {reason}; mend them or raise {argument('max_bad')}"
            )
        writer = writer or ShardWriter(partial / f"shard-{len(done.shards):06d}.tar")
        writer.add(chunk.tar, chunk.samples)
        pending.labels += chunk.labels
        pending.bad += chunk.bad
        pending.codecs |= set(chunk.codecs)
        added_to(pending.conversions, chunk.conversions)
        if writer.size >= plan.shard_bytes or position == plan.count:
            pending.shards, pending.next_item = [writer.close()], position
            _record(partial, done, pending)
            writer, pending = None, _Packed()
        if progress is not None:
            progress(position, plan.count)


def _record(partial: Path, done: _Packed, new: _Packed) -> None:
    row = {
        "shard": new.shards[0].model_dump(mode="json"),
        "labels": new.labels,
        "bad": new.bad,
        "codecs": sorted(new.codecs),
        "conversions": new.conversions,
        "next_item": new.next_item,
    }
    with open(partial / "state.jsonl", "a") as file:
        file.write(json.dumps(row) + "\n")
        file.flush()
        os.fsync(file.fileno())
    done.shards += new.shards
    done.labels += new.labels
    done.bad += new.bad
    done.codecs |= new.codecs
    added_to(done.conversions, new.conversions)
    done.next_item = new.next_item


def _chunks(job: Job, start: int, count: int, workers: int) -> Iterator[Chunk]:
    """All chunks from `start` on, in order, made by `workers` processes (in this one for a single worker)."""
    starts = range(start, count, CHUNK)
    if workers < 2 or len(starts) < 2:
        for begin in starts:
            yield pack_chunk(job, begin, min(begin + CHUNK, count))
        return
    # A fork server: workers start from a clean process that has the libraries loaded but no threads.
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["ganforge.data.packing"])
    pool = ProcessPoolExecutor(workers, mp_context=context, initializer=start_worker, initargs=(job,))
    try:
        waiting: deque[Future[Chunk]] = deque()
        for begin in starts:
            waiting.append(pool.submit(work, begin, min(begin + CHUNK, count)))
            if len(waiting) > 4 * workers:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    except BrokenProcessPool as error:
        raise DataError(
            f"a packing process died (out of memory?); pack again to go on, with fewer {argument('workers')}"
        ) from error
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def _finish(partial: Path, source: Source, plan: PackPlan, done: _Packed) -> Manifest:
    shards = tuple(shard for shard in done.shards if shard.count)
    if not shards:
        raise DataError(f"no picture could be used; see the reasons with {argument('max_bad', '100%')}")
    labels_sha256 = ""
    if plan.classes:
        np.save(partial / LABELS_NAME, np.array(done.labels, dtype=np.int64))
        labels_sha256 = hashlib.sha256((partial / LABELS_NAME).read_bytes()).hexdigest()
    kept = done.codecs - {{"raw": "npy", "png": "png", "jpeg": "jpg"}[plan.codec]}
    manifest = Manifest(
        count=sum(shard.count for shard in shards),
        shape=(plan.fit.channels, plan.fit.height, plan.fit.width),
        classes=plan.classes,
        codec="keep" if kept else plan.codec,
        shards=shards,
        labels_sha256=labels_sha256,
        version=version_for(plan.fit.dtype, plan.fit.has_alpha),
        dtype=plan.fit.dtype,
        values=None if plan.fit.dtype == "uint8" or plan.fit.values is None else plan.fit.values[:2],
        has_alpha=plan.fit.has_alpha,
        made_with=plan.for_people(),
    )
    left_out = [*source.left_out, *done.bad]
    report = format_report(manifest.count, plan.rules, left_out, done.conversions, source.fingerprint)
    (partial / REPORT_NAME).write_text(report)
    for shard in done.shards:
        if not shard.count:
            (partial / shard.name).unlink()
            (partial / shard.index_name).unlink()
    (partial / "plan.json").unlink()
    (partial / "state.jsonl").unlink()
    (partial / FILE_NAME).write_text(manifest.dump())
    return manifest
