"""Checkpoints: a folder each, there whole or not at all, that can be opened without running code.

    checkpoints/step-00000500/
        checkpoint.json              step, data position, best so far, versions; each file's size and sha256
        recipe.resolved.toml
        discriminator.safetensors    networks, and the averaged generator
        generator.safetensors
        averaged.safetensors
        training.pt                  optimizers, gradient scalers: tensors and plain values, read with weights_only
        rank-00000.pt                random states and meters of each rank
    checkpoints/last                 the name of the newest

This file reads them, `checkpoint_writer` writes them, `newest` finds the one to go on from: the newest that is what was
written, whatever `last` says. A look at sizes (`is_whole`) is cheap and enough for display; files that are used are
compared with their sha256.
"""

import hashlib
import json
import os
import re
import tomllib
from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from stat import S_ISREG
from typing import Any

import torch
from safetensors.torch import load_file
from torch import Tensor

from ganforge.errors import DamagedCheckpointError
from ganforge.run_files import STEP, CheckpointFolder, network_file, rank_file
from ganforge.saved.hashing import sha256_of
from ganforge.version import __version__

FORMAT = 2
"""Format 2 records the sha256 of every file; a checkpoint of format 1 is trusted if it can be read."""

_LARGEST_STATE = 64 << 20
_WHOLE_NUMBERS = ("step", "images", "rollbacks", "batches", "world_size")
_TABLES = ("layouts", "data", "dataset", "versions")


def step_of(path: Path) -> int | None:
    """The step in the name of a checkpoint's folder; None if the folder has another name."""
    match = re.fullmatch(rf"{STEP}([0-9]{{1,18}})", path.name)
    return None if match is None else int(match[1])


def candidates(folder: Path) -> list[Path]:
    """All folders with a checkpoint's name, oldest first."""
    found = [(step, path) for path in folder.glob(f"{STEP}*") if (step := step_of(path)) is not None]
    return [path for _, path in sorted(found)]


def whole_checkpoints(folder: Path) -> list[Path]:
    """Complete checkpoints by their files' sizes, oldest first."""
    return [path for path in candidates(folder) if is_whole(path)]


def is_whole(path: Path) -> bool:
    """Whether every file that the checkpoint lists is there in its size: a cheap look, which damage can pass."""
    try:
        return not _incomplete(path, read_state(path)["files"])
    except DamagedCheckpointError:
        return False


def digest_of(state: Mapping[str, Any]) -> str:
    """Hex sha256 of what a `checkpoint.json` says, apart from this digest."""
    told = {key: value for key, value in state.items() if key != "digest"}
    return hashlib.sha256(json.dumps(told, sort_keys=True).encode()).hexdigest()


def read_state(path: Path) -> dict[str, Any]:
    """What a checkpoint says of itself, in `checkpoint.json`.

    Raises:
        DamagedCheckpointError: it is missing or damaged, or has a newer format.
    """
    file = CheckpointFolder(path).state
    try:
        status = os.stat(file)  # a pipe or a device might never end
        if not S_ISREG(status.st_mode) or status.st_size > _LARGEST_STATE:
            raise DamagedCheckpointError(path, f"{file.name} is not a file that ganforge wrote")
        state = json.loads(file.read_bytes())
    except FileNotFoundError as error:
        raise DamagedCheckpointError(path, f"not written to the end: it has no {file.name}") from error
    except OSError as error:
        raise DamagedCheckpointError(path, f"{file.name} cannot be read: {error.strerror}") from error
    except (ValueError, RecursionError) as error:
        raise DamagedCheckpointError(path, f"{file.name} is damaged: it is not JSON") from error
    if problem := _problem_of_state(state):
        raise DamagedCheckpointError(path, f"{file.name} {problem}")
    return state


def _problem_of_state(state: Any) -> str:
    """What is wrong with it, or an empty string."""
    if not isinstance(state, dict):
        return "is damaged: it is not a table"
    kind = state.get("format", 1)
    if type(kind) is not int or kind < 1:
        return f"is damaged: its format is {kind!r}"
    if kind > FORMAT:
        return f"has format {kind}, and ganforge {__version__} reads formats up to {FORMAT}: update ganforge"
    wrong = [name for name in _WHOLE_NUMBERS if name in state and not _is_count(state[name])]
    wrong += [name for name in _TABLES if name in state and not isinstance(state[name], dict)]
    if not isinstance(state.get("best"), dict | None):
        wrong.append("best")
    files = state.get("files")
    if not isinstance(files, dict) or not all(
        Path(name).name == name and _is_count(size) for name, size in files.items()
    ):
        wrong.append("files")
    elif kind > 1 or "digest" in state or "sha256" in state:
        if state.get("digest") != digest_of(state):
            return "is damaged: it is not what was written"
        if not isinstance(state.get("sha256"), dict) or state["sha256"].keys() != files.keys():
            wrong.append("sha256")
    if "step" not in state:
        wrong.append("step")
    return f"is damaged: {wrong[0]} is no such thing" if wrong else ""


def _is_count(value: object) -> bool:
    return type(value) is int and 0 <= value < 2**63


def _incomplete(path: Path, sizes: Mapping[str, int]) -> str:
    """The first file that is missing or has another size, or an empty string."""
    for name, size in sizes.items():
        try:
            status = os.stat(path / name)
        except (OSError, ValueError):  # ValueError: a name that no file can have
            return name
        if not S_ISREG(status.st_mode) or status.st_size != size:
            return name
    return ""


class Checkpoint:
    """A checkpoint, for reading. Each file is compared with its sha256 before it is read for the first time.

    Raises:
        DamagedCheckpointError: it is not what was written, or holds more than plain values.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.state = read_state(path)
        self._checked: set[str] = set()

    @property
    def files(self) -> Collection[str]:
        """Names of its files, apart from `checkpoint.json`."""
        return self.state["files"].keys()

    def check(self, names: Collection[str] | None = None) -> None:
        """Check that files are what was written, by default all of them.

        Raises:
            DamagedCheckpointError: naming the first that is not.
        """
        if (step := step_of(self.path)) is not None and step != self.state["step"]:
            raise DamagedCheckpointError(self.path, f"it is of step {self.state['step']:,}, which its name contradicts")
        if incomplete := _incomplete(self.path, self.state["files"]):
            raise DamagedCheckpointError(self.path, f"not written to the end: {incomplete}")
        for name in self.files if names is None else names:
            self._check(name)

    def _check(self, name: str) -> None:
        if name in self._checked:
            return
        if name not in self.files:
            raise DamagedCheckpointError(self.path, f"it has no {name}")
        digests = self.state.get("sha256")
        if digests is not None:
            try:
                found = sha256_of(self.path / name)
            except OSError as error:
                raise DamagedCheckpointError(self.path, f"{name} cannot be read: {error.strerror}") from error
            if found != digests[name]:
                raise DamagedCheckpointError(self.path, f"{name} is damaged: it is not what was written (sha256)")
        self._checked.add(name)
        if digests is None:  # format 1: whether it can be read at all
            readers = {".safetensors": self.tensors, ".pt": self.plain}
            readers.get(Path(name).suffix, lambda stem: self._read(name, _as_toml, ""))(Path(name).stem)

    def tensors(self, name: str) -> dict[str, Tensor]:
        return self._read(network_file(name), load_file, "")

    def plain(self, name: str) -> dict[str, Any]:
        def load(path: Path) -> dict[str, Any]:
            return torch.load(path, map_location="cpu", weights_only=True)

        return self._read(f"{name}.pt", load, " as plain tensors and values")

    def rank(self, rank: int) -> dict[str, Any] | None:
        """A rank's own part, or None if the run that wrote it had fewer ranks."""
        name = rank_file(rank)
        return self.plain(Path(name).stem) if name in self.files else None

    def text(self, name: str) -> str:
        return self._read(name, lambda path: path.read_text(encoding="utf-8"), "")

    def _read(self, name: str, read: Callable[[Path], Any], how: str) -> Any:
        self._check(name)
        try:
            return read(self.path / name)
        except Exception as error:  # damaged bytes raise whatever they happen to mean to the library that reads them
            reason = (str(error).splitlines() or [type(error).__name__])[0]
            raise DamagedCheckpointError(self.path, f"{name} cannot be read{how}: {reason}") from error


def _as_toml(path: Path) -> Mapping[str, Any]:
    return tomllib.loads(path.read_text(encoding="utf-8"))
