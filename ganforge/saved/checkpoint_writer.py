"""Writing checkpoints: under a temporary name, synced, hashed, renamed; until then the last good one is not touched."""

import json
import os
import shutil
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ganforge.files import sync, usual_mode, write_text
from ganforge.run_files import DAMAGED, NEWEST, STEP, CheckpointFolder, network_file, rank_file, step_name
from ganforge.saved.checkpoint import (
    FORMAT,
    digest_of,
    is_whole,
    step_of,
    whole_checkpoints,
)
from ganforge.saved.hashing import Hasher
from ganforge.saved.tensor_file import save_tensors


@dataclass(frozen=True)
class Written:
    """A file of a checkpoint as it was written.

    Args:
        name: in the checkpoint's folder.
        size: in bytes.
        sha256: of its content.
    """

    name: str
    size: int
    sha256: str


class CheckpointWriter:
    """Writes one checkpoint: `stage`, each rank its part, `commit`; the caller puts barriers between them.

    Args:
        folder: the run's `checkpoints` folder.
        step: number of finished alternations.
    """

    def __init__(self, folder: Path, step: int) -> None:
        self.folder = folder
        self.final = folder / step_name(step)
        self.temporary = folder / f".{step_name(step)}.tmp"
        self._of_other_ranks: dict[str, Written] = {}
        self._hasher = Hasher()

    def stage(self) -> None:
        """Rank 0: an empty temporary folder. The run folder itself has to be there."""
        self.folder.mkdir(exist_ok=True)
        remove(self.temporary)
        self.temporary.mkdir()

    def discard(self) -> None:
        """Rank 0: give up, and free the disk space."""
        remove(self.temporary)

    def write_rank(self, rank: int, state: Mapping[str, Any]) -> Written:
        """Every rank: its own random states and meters. Rank 0 learns of it through `add`."""
        name = rank_file(rank)
        self._save_plain(name, state)
        return self._described(name)

    def add(self, parts: Collection[Written]) -> None:
        """Rank 0: what the other ranks have written."""
        self._of_other_ranks |= {part.name: part for part in parts}

    def write_tensors(self, name: str, tensors: dict[str, Tensor]) -> None:
        path = self.temporary / network_file(name)
        with usual_mode(path):
            save_tensors(path, tensors)
        self._finish(path)

    def write_plain(self, name: str, state: Mapping[str, Any]) -> None:
        """Tensors, numbers, strings, lists and tables: what `torch.load(weights_only=True)` accepts."""
        self._save_plain(f"{name}.pt", state)

    def write_text(self, name: str, text: str) -> None:
        write_text(self.temporary / name, text)
        self._finish(self.temporary / name)

    def _save_plain(self, name: str, state: Mapping[str, Any]) -> None:
        path = self.temporary / name
        with self._hasher.open(path) as file:  # raises the disk's errors as they are; torch's own file does not
            torch.save(dict(state), file)  # type: ignore[arg-type] # of a file it uses no more than that
        sync(path)

    def _finish(self, path: Path) -> None:
        """Hash a file while the disk is busy with it and while the next one is written."""
        self._hasher.add(path)
        sync(path)

    def _described(self, name: str) -> Written:
        return Written(name, (self.temporary / name).stat().st_size, self._hasher.sha256(name))

    def commit(self, state: Mapping[str, Any]) -> Path:
        """Rank 0, after all ranks have written: list the files, sync, rename, move `last`."""
        own = {name: self._described(name) for name in self._hasher.names}
        self._hasher.close()
        files = [file for _, file in sorted({**self._of_other_ranks, **own}.items())]
        told = {
            "format": FORMAT,
            **state,
            "files": {file.name: file.size for file in files},
            "sha256": {file.name: file.sha256 for file in files},
        }
        told = json.loads(json.dumps(told))
        write_text(CheckpointFolder(self.temporary).state, json.dumps({**told, "digest": digest_of(told)}, indent=2))
        sync(self.temporary)
        if os.path.lexists(self.final):  # the same step again, after a resume: the new one takes its place
            retired = self.final.with_name(f".{self.final.name}.old")
            remove(retired)
            os.replace(self.final, retired)
            os.replace(self.temporary, self.final)
            remove(retired)
        else:
            os.replace(self.temporary, self.final)
        sync(self.folder)
        write_text(self.folder / NEWEST, self.final.name + "\n")
        return self.final


def prune(folder: Path, *, keep_last: int, keep_every: int, keep_step: int | None = None) -> None:
    """Remove all but the newest `keep_last`, the multiples of `keep_every`, that of `keep_step`, and torn ones."""
    for path in whole_checkpoints(folder)[:-keep_last]:
        step = step_of(path)
        assert step is not None
        if step != keep_step and (not keep_every or step % keep_every):
            remove(path)
    sweep(folder)


def sweep(folder: Path) -> list[str]:
    """Remove what a kill or a full disk left half-written.

    Returns:
        names of what was removed.
    """
    removed = sorted(folder.glob(f".{STEP}*"))
    for path in removed:
        remove(path)
    return [path.name for path in removed]


def put_back(folder: Path) -> None:
    """Bring back a checkpoint that a kill left half-replaced: the new one has not taken its place yet."""
    for path in sorted(folder.glob(f".{STEP}*.old")):
        final = folder / path.name.removeprefix(".").removesuffix(".old")
        if not os.path.lexists(final) and is_whole(path):
            os.replace(path, final)


def set_aside(path: Path) -> Path:
    """Rename a checkpoint that cannot be used, so that none of a later step is taken for older than it."""
    aside = path.with_name(f"{DAMAGED}{path.name}")
    remove(aside)
    os.replace(path, aside)
    return aside


def remove(path: Path) -> None:
    """A folder with all that is in it, or a link to one; nothing if there is nothing."""
    if path.is_symlink() or path.is_file():
        path.unlink(missing_ok=True)
    else:
        shutil.rmtree(path, ignore_errors=True)
