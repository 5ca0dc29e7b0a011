"""`ganforge new` and `ganforge train` with nothing but data: a recipe is written, and pictures are packed, once."""

import shlex
import time
from collections.abc import Callable
from pathlib import Path

from ganforge.data.shards.manifest import FILE_NAME
from ganforge.errors import GanforgeError, LaunchError
from ganforge.files import user_cache
from ganforge.fitting.look import machine_at_hand
from ganforge.fitting.pictures import Progress, check_unchanged, is_source, pack_beside, shards_beside, source_of
from ganforge.fitting.write import check_new, name_for, write_fitted
from ganforge.lookup import text
from ganforge.parallel.launch import is_first_rank
from ganforge.recipe import parse
from ganforge.recipe_names import SUFFIX

PATIENCE = 600.0
"""Seconds for which the other ranks wait without seeing rank 0 write anything: as long as for a collective."""


def packed(file: Path, data: str, progress: Progress, say: Callable[[str], object]) -> str:
    """The shards for a new recipe: those that are named, or those that pictures are packed into beside it.

    Raises:
        GanforgeError: there is such a recipe, or the pictures cannot be packed.
    """
    check_new(file)
    if not is_source(data):
        return data
    on_gpu = machine_at_hand(user_cache()).device == "gpu"
    for line in pack_beside(file, data, on_gpu, progress):
        say(line)
    return str(shards_beside(file))


def recipe_for(data: str, progress: Progress, say: Callable[[str], object]) -> Path:
    """The recipe in the working directory that trains on these data: the one from last time, or a new one.

    Of several processes rank 0 packs and writes, and the others wait for it.

    Raises:
        GanforgeError: the pictures are others than last time, or there is another recipe of this name.
        LaunchError: nothing was heard of rank 0.
    """
    file = Path(f"{name_for(data)}{SUFFIX}")
    if not is_first_rank():
        _wait_for(file)
    elif file.exists():
        _check_same(file, data)
        say(f"{file}: is there from before and is trained as it is")
    else:
        say(write_fitted(file, packed(file, data, progress, say)))
    return file


def _check_same(file: Path, data: str) -> None:
    """Refuse a recipe that trains on something else."""
    wanted = str(shards_beside(file)) if is_source(data) else data
    path = text(parse(file), "data", "path")
    if path is None or Path(path).expanduser().resolve() != Path(wanted).expanduser().resolve():
        raise GanforgeError(
            f"{file}: is there and trains on {path or 'other data'}, not on {data}; `ganforge train {file}` does so, "
            f"and `ganforge new {file.stem}-2{SUFFIX} --data {shlex.quote(data)}` writes one for these"
        )
    if not is_source(data):
        return
    if not (shards_beside(file) / FILE_NAME).exists():
        raise GanforgeError(
            f"{file}: is there, but not its shards {shards_beside(file)}; to pack them again, remove {file} or rename "
            "it"
        )
    check_unchanged(file, data, source_of(data))


def _wait_for(file: Path) -> None:
    """Wait until rank 0 has written a recipe, as long as it is seen to write shards."""
    partial = shards_beside(file).with_name(f"{shards_beside(file).name}.partial")
    seen, since = None, time.monotonic()
    while not file.exists():
        now = _state_of(partial)
        if now != seen:
            seen, since = now, time.monotonic()
        if time.monotonic() - since > PATIENCE:
            raise LaunchError(
                f"{file}: rank 0 has not written it in {PATIENCE:g} s; all processes must run in one folder that they "
                f"share, or start from a recipe: `ganforge new {file}`"
            )
        time.sleep(0.2)


def _state_of(partial: Path) -> list[tuple[str, int]]:
    """Names and sizes of what is being packed."""
    try:
        return sorted((entry.name, entry.stat().st_size) for entry in partial.iterdir())
    except OSError:
        return []
