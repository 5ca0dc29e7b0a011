"""Samples in files: a grid, one file a sample, or shards."""

import os
from pathlib import Path

import numpy as np

from ganforge.arguments import argument
from ganforge.data.depth import stored_values
from ganforge.data.valuefile import value_file
from ganforge.errors import GanforgeError
from ganforge.grid import picture_of
from ganforge.parallel.launch import check_launch
from ganforge.sampling.draw import Sampler, open_generator, pick_device, sampler_of
from ganforge.sampling.shards import Progress, write_shards
from ganforge.wording import counted


def write_samples(
    run: str | Path,
    *,
    num: int,
    out: Path,
    seed: int = 0,
    averaged: bool = True,
    truncation: float | None = None,
    psi: float | None = None,
    class_name: str | None = None,
) -> str:
    """Draw samples and write a grid (a file) or one file a sample (a new folder; points: one `.npy`).

    A grid is for people, 8 bits over a checkerboard. Single samples have the values of the data, see `value_file`.

    Sample i depends on the seed and i alone, so a longer draw begins with the shorter one.

    Returns:
        a line that says what was written where.

    Raises:
        CheckpointError: there is no such generator.
        GanforgeError: `out` cannot be written or holds something, or there is no such class or truncation.
    """
    if int(os.environ.get("WORLD_SIZE", "1")) > 1:
        raise GanforgeError(
            f"several processes can share only shards; add {argument('shards', True)}, or start one process"
        )
    network = open_generator(run, averaged=averaged)
    sampler = sampler_of(network, seed, truncation=truncation, psi=psi, class_name=class_name)
    try:
        if out.suffix:
            out.parent.mkdir(parents=True, exist_ok=True)
            picture_of(sampler.many(num), has_alpha=sampler.config.spec.has_alpha).save(out)
            return f"{counted(num, 'sample')} in {out}"
        return _write_folder(sampler, num, out)
    except (OSError, ValueError) as error:
        raise GanforgeError(f"{out}: cannot be written: {error}") from error


def write_part_of_shards(
    run: str | Path,
    *,
    num: int,
    out: Path,
    seed: int = 0,
    averaged: bool = True,
    truncation: float | None = None,
    psi: float | None = None,
    class_name: str | None = None,
    per_shard: int = 0,
    progress: Progress | None = None,
) -> str:
    """This process's share of the shards, on its own device, as its launcher's environment says.

    Returns:
        a line that says what has been written.

    Raises:
        CheckpointError: there is no such generator.
        GanforgeError: see `write_shards`, or there is no such class or truncation.
        LaunchError: the launcher starts fewer processes than were asked for.
    """
    check_launch()
    rank, local_rank, world_size = (
        int(os.environ.get(name, default)) for name, default in (("RANK", 0), ("LOCAL_RANK", 0), ("WORLD_SIZE", 1))
    )
    network = open_generator(run, averaged=averaged, device=pick_device(local_rank))
    sampler = sampler_of(network, seed, truncation=truncation, psi=psi, class_name=class_name)
    return write_shards(sampler, out, num=num, per_shard=per_shard, rank=rank, world_size=world_size, progress=progress)


def _write_folder(sampler: Sampler, num: int, out: Path) -> str:
    """One file a sample, a batch in memory at a time; points are one array.

    Only into an empty folder, since pictures of two draws could not be told apart.
    """
    out.mkdir(parents=True, exist_ok=True)
    if any(out.iterdir()):
        raise GanforgeError(f"{out}: is not empty; give a new folder")
    spec = sampler.config.spec
    if not spec.is_image:
        np.save(out / "samples.npy", sampler.many(num).numpy())
        return f"{counted(num, 'sample')} in {out / 'samples.npy'}"
    for indices, samples in sampler.batches(range(num)):
        for index, values in zip(indices, stored_values(samples, spec), strict=True):
            extension, data = value_file(values, has_alpha=spec.has_alpha)
            (out / f"{index:06d}.{extension}").write_bytes(data)
    return f"{counted(num, 'picture')} in {out}"
