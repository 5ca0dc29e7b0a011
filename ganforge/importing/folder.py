"""An import's folder: networks of another program's file, in ganforge's files.

    OUT/
        generator.safetensors           the averaged generator with its config: `sample`, `project`, `export`, ...
        generator.json                  the same config, readable
        generator.raw.safetensors       the generator as it was trained, where the file has it
        discriminator.safetensors       where the file has it
        networks.toml                   tables [generator] and [discriminator] for a recipe that goes on from here
        import.json                     the source's name and sha256, and its other facts

`load_generator` takes the folder; `imported_networks` gives all networks for a run that begins with them.
"""

import hashlib
import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import tomli_w
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from ganforge.errors import CheckpointError, GanforgeError
from ganforge.files import replaced_folder, usual_mode, write_text
from ganforge.importing.found import Found
from ganforge.saved.generator_config import GeneratorConfig
from ganforge.saved.generator_file import save_generator
from ganforge.saved.hub import GENERATOR_NAME

FORMAT = 1
STATE = "import.json"
FILES = {
    "averaged": GENERATOR_NAME,
    "generator": "generator.raw.safetensors",
    "discriminator": "discriminator.safetensors",
}
"""Files of the networks, by the names that checkpoints give them."""
OURS = {*FILES.values(), STATE, "generator.json", "networks.toml"}


def write_folder(out: Path, source: Path, found: Found) -> None:
    """Write the folder atomically, replacing an older import.

    Args:
        out: the folder.
        source: the file that was read.
        found: what was in it; its networks fit their components.

    Raises:
        GanforgeError: `out` holds something else or cannot be written.
    """
    out = out.resolve()
    check_free(out)
    shown = "averaged" if "averaged" in found.networks else "generator"
    config = GeneratorConfig(
        generator=found.networks[shown].table,
        spec=found.spec,
        run=source.stem,
        images=found.images,
        averaged=shown == "averaged",
    )
    tables = {
        role: found.networks[name].table
        for role, name in (("generator", shown), ("discriminator", "discriminator"))
        if name in found.networks
    }
    state = {
        "format": FORMAT,
        "source": source.name,
        "sha256": _sha256(source),
        "images": found.images,
        "ada_probability": found.ada_probability,
        "networks": sorted({*found.networks, "averaged"}),
    }
    try:
        with replaced_folder(out) as making:
            save_generator(making / GENERATOR_NAME, _plain(found.networks[shown].tensors), config)
            for name, network in found.networks.items():
                if name != shown:
                    with usual_mode(making / FILES[name]):
                        save_file(_plain(network.tensors), making / FILES[name])
            write_text(making / "networks.toml", tomli_w.dumps(tables))
            write_text(making / STATE, json.dumps(state, indent=2) + "\n")
    except OSError as error:
        raise GanforgeError(f"{out}: cannot be written: {error.strerror or error}") from error


def check_free(out: Path) -> None:
    """Refuse a folder that holds anything but an import.

    Raises:
        GanforgeError: the folder holds something else.
    """
    if out.exists():
        found = {path.name for path in out.iterdir()} if out.is_dir() else {out.name}
        if found and (not found <= OURS or STATE not in found):
            raise GanforgeError(f"{out}: holds something else; choose another folder")


def is_import(folder: Path) -> bool:
    """Whether a folder is what `ganforge import` writes."""
    return (folder / STATE).is_file()


def imported_networks(folder: Path) -> dict[str, dict[str, Tensor]]:
    """States of an import's networks, by the names that checkpoints have for them.

    `averaged` and `generator` are always present, and equal if the file had only one; `discriminator` if it had one.

    Raises:
        CheckpointError: the folder is no import, or a file is missing or damaged.
    """
    names = _state(folder)["networks"]
    found = {name: _load(folder / FILES[name]) for name in FILES if name in names}
    found.setdefault("generator", dict(found["averaged"]))
    return found


def imported_ada_probability(folder: Path) -> float | None:
    """The probability that ADA had reached when the networks were saved; None if the file does not tell.

    Raises:
        CheckpointError: the folder is no import, or is damaged.
    """
    found = _state(folder).get("ada_probability")
    if found is None:
        return None
    if isinstance(found, bool) or not isinstance(found, int | float) or not 0 <= found < math.inf:
        raise CheckpointError(f"{folder / STATE}: is damaged: its ada_probability is {found!r}; import the file again")
    return float(found)


def _state(folder: Path) -> dict[str, Any]:
    try:
        state = json.loads((folder / STATE).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise CheckpointError(f"{folder}: is not what `ganforge import` writes: {error}") from error
    if state.get("format") != FORMAT:
        raise CheckpointError(f"{folder}: written in another format; import the file again")
    return state


def _load(path: Path) -> dict[str, Tensor]:
    try:
        return load_file(path)
    except (OSError, SafetensorError) as error:
        raise CheckpointError(f"{path}: cannot be read: {error}") from error


def _plain(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Tensors made contiguous, in memory of their own and float32, as safetensors and the components require."""
    return {name: tensor.detach().float().clone().contiguous() for name, tensor in tensors.items()}


def _sha256(path: Path) -> str:
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
