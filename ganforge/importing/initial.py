"""Weights that a new run begins with: of another run, of a checkpoint, of a generator file, or imported ones."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from ganforge.errors import CheckpointError
from ganforge.importing.folder import imported_ada_probability, imported_networks, is_import
from ganforge.run_files import CheckpointFolder, RunFolder, network_file
from ganforge.saved.checkpoint import candidates
from ganforge.saved.generator_file import find_generator, read_config
from ganforge.saved.newest import newest_checkpoint

NETWORKS = ("discriminator", "generator", "averaged")


@dataclass(frozen=True)
class Initial:
    """Networks by their names in a checkpoint.

    Args:
        path: where they come from.
        networks: each network's tensors; what is not there starts fresh.
        ada_probability: the probability that ADA had reached in another program's training, if that is known.
    """

    path: Path
    networks: Mapping[str, Mapping[str, Tensor]]
    ada_probability: float | None = None


def read_initial(path: Path) -> Initial:
    """Read the weights that a new run starts from.

    Raises:
        CheckpointError: there are no weights, or they are damaged.
    """
    if path.suffix == ".pkl":
        raise CheckpointError(
            f"{path}: opening a pickle runs what is in it; `ganforge import {path}` makes a folder of it to start from"
        )
    if is_import(path):
        return Initial(path, imported_networks(path), imported_ada_probability(path))
    if CheckpointFolder(path).state.is_file() or candidates(RunFolder(path).checkpoints):
        names = [network_file(name) for name in NETWORKS]
        checkpoint = newest_checkpoint(path, names)
        return Initial(checkpoint.path, {name: checkpoint.tensors(name) for name in NETWORKS})
    file = find_generator(path)
    read_config(file)  # whether it is one of ours
    try:
        tensors = load_file(file)
    except (OSError, SafetensorError) as error:
        raise CheckpointError(f"{file}: cannot be read: {error}") from error
    return Initial(file, {"generator": tensors, "averaged": tensors})
