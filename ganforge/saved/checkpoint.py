"""Checkpoints: a folder each, there whole or not at all, that can be opened without running code.

    checkpoints/step-00000500/
        checkpoint.json              step, data position, best so far, tracker ids, versions, sizes of the files
        recipe.resolved.toml
        discriminator.safetensors    networks, and the averaged generator
        generator.safetensors
        averaged.safetensors
        training.pt                  optimizers, gradient scalers: tensors and plain values, read with weights_only
        rank-00000.pt                random states and meters of each rank
    checkpoints/last                 the name of the newest

A checkpoint is written under a temporary name, synced, and renamed; the last good one is never
touched before that. The newest whole folder counts, whatever `last` says.
"""

import json
import os
import pickle
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from ganforge.errors import CheckpointError
from ganforge.files import sync, usual_mode, write_text
from ganforge.saved.generator_file import CHECKPOINT_STATE

PREFIX = "step-"


def name_of(step: int) -> str:
    return f"{PREFIX}{step:08d}"


def whole_checkpoints(folder: Path) -> list[Path]:
    """Complete checkpoints, oldest first."""
    return [path for path in sorted(folder.glob(f"{PREFIX}*")) if is_whole(path)]


def what_is_kept(folder: Path) -> str:
    """What a run that ends in trouble can go back to, in words, for its error message."""
    whole = whole_checkpoints(folder)
    if not whole:
        return "nothing has been saved yet (see checkpoint.every)"
    return f"the checkpoint of step {int(whole[-1].name.removeprefix(PREFIX)):,} is intact"


def torn_checkpoints(folder: Path) -> list[Path]:
    """What a kill or a full disk left behind, newer than the newest whole one."""
    whole = [path.name for path in whole_checkpoints(folder)]
    newest = whole[-1] if whole else ""
    candidates = [path for path in folder.glob(f"*{PREFIX}*") if path.is_dir() and path.name not in whole]
    return [path for path in sorted(candidates) if path.name.removeprefix(".") > newest]


def is_whole(path: Path) -> bool:
    """Whether every file that the checkpoint lists is there in its size."""
    try:
        sizes = json.loads((path / CHECKPOINT_STATE).read_text())["files"]
        return all((path / name).stat().st_size == size for name, size in sizes.items())
    except (OSError, ValueError, KeyError):
        return False


class CheckpointWriter:
    """Writes one checkpoint: `stage`, each rank its part, `commit`; the caller puts barriers between them.

    Args:
        folder: the run's `checkpoints` folder.
        step: number of finished alternations.
    """

    def __init__(self, folder: Path, step: int) -> None:
        self.folder = folder
        self.final = folder / name_of(step)
        self.temporary = folder / f".{name_of(step)}.tmp"

    def stage(self) -> None:
        """Rank 0: an empty temporary folder."""
        shutil.rmtree(self.temporary, ignore_errors=True)
        self.temporary.mkdir(parents=True)

    def write_rank(self, rank: int, state: Mapping[str, Any]) -> None:
        """Every rank: its own random states and meters."""
        self._save_plain(f"rank-{rank:05d}.pt", state)

    def write_tensors(self, name: str, tensors: dict[str, Tensor]) -> None:
        path = self.temporary / f"{name}.safetensors"
        with usual_mode(path):
            save_file(tensors, path)
        sync(path)

    def write_plain(self, name: str, state: Mapping[str, Any]) -> None:
        """Tensors, numbers, strings, lists and tables: what `torch.load(weights_only=True)` accepts."""
        self._save_plain(f"{name}.pt", state)

    def write_text(self, name: str, text: str) -> None:
        write_text(self.temporary / name, text)

    def _save_plain(self, name: str, state: Mapping[str, Any]) -> None:
        path = self.temporary / name
        torch.save(dict(state), path)
        sync(path)

    def commit(self, state: Mapping[str, Any]) -> Path:
        """Rank 0, after all ranks have written: list the files, sync, rename, move `last`."""
        files = {path.name: path.stat().st_size for path in sorted(self.temporary.iterdir())}
        self.write_text(CHECKPOINT_STATE, json.dumps({**state, "files": files}, indent=2))
        sync(self.temporary)
        if self.final.exists():  # the same step again, after a resume: the new one takes its place
            retired = self.final.with_name(f".{self.final.name}.old")
            shutil.rmtree(retired, ignore_errors=True)
            os.replace(self.final, retired)
            os.replace(self.temporary, self.final)
            shutil.rmtree(retired, ignore_errors=True)
        else:
            os.replace(self.temporary, self.final)
        sync(self.folder)
        write_text(self.folder / "last", self.final.name + "\n")
        return self.final


def prune(folder: Path, *, keep_last: int, keep_every: int, keep_step: int | None = None) -> None:
    """Remove all but the newest `keep_last`, the multiples of `keep_every`, that of `keep_step`, and what was torn."""
    checkpoints = whole_checkpoints(folder)
    for path in checkpoints[:-keep_last]:
        step = int(path.name.removeprefix(PREFIX))
        if step != keep_step and (not keep_every or step % keep_every):
            shutil.rmtree(path, ignore_errors=True)
    for path in folder.glob(f".{PREFIX}*"):
        shutil.rmtree(path, ignore_errors=True)


class Checkpoint:
    """A whole checkpoint, for reading.

    Raises:
        CheckpointError: a file is missing, damaged, or holds more than plain values.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            self.state: dict[str, Any] = json.loads((path / CHECKPOINT_STATE).read_text())
        except (OSError, ValueError) as error:
            raise CheckpointError(f"{path}: is not a checkpoint: {error}") from error

    def tensors(self, name: str) -> dict[str, Tensor]:
        path = self.path / f"{name}.safetensors"
        try:
            return load_file(path)
        except (OSError, SafetensorError) as error:
            raise CheckpointError(f"{path}: cannot be read: {error}") from error

    def plain(self, name: str) -> dict[str, Any]:
        path = self.path / f"{name}.pt"
        try:
            return torch.load(path, map_location="cpu", weights_only=True)
        except (OSError, RuntimeError, pickle.UnpicklingError, EOFError) as error:
            text = str(error).splitlines()[0]
            raise CheckpointError(f"{path}: cannot be read as plain tensors and values: {text}") from error

    def rank(self, rank: int) -> dict[str, Any] | None:
        """A rank's own part, or None if the run that wrote it had fewer ranks."""
        name = f"rank-{rank:05d}"
        return self.plain(name) if (self.path / f"{name}.pt").exists() else None

    def text(self, name: str) -> str:
        return (self.path / name).read_text(encoding="utf-8")


def newest_checkpoint(folder: Path) -> Checkpoint:
    """The newest whole checkpoint of a run folder.

    Raises:
        CheckpointError: there is none.
    """
    checkpoints = whole_checkpoints(folder / "checkpoints")
    if not checkpoints:
        raise CheckpointError(f"{folder}: has no whole checkpoint")
    return Checkpoint(checkpoints[-1])
