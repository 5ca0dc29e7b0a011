"""A trained generator as one safetensors file that carries its own config.

The file's metadata holds, under the key `ganforge`, JSON with the component, its options, the
sample spec and where the weights come from; a `.json` beside it says the same for people to read.
Opening one runs no code of the file's.
"""

from dataclasses import replace
from pathlib import Path
from typing import cast

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file
from torch import Tensor, nn

from ganforge.allocation import at_most, machine_memory
from ganforge.arguments import argument
from ganforge.errors import CheckpointError, RegistryError, TrustError
from ganforge.files import replaced, write_text
from ganforge.game.ways import WayName
from ganforge.lookup import whole
from ganforge.options import validate
from ganforge.registry import load_plugins, register
from ganforge.run_files import GENERATORS, CheckpointFolder, RunFolder
from ganforge.saved.checkpoint import Checkpoint, read_state
from ganforge.saved.generator_config import GeneratorConfig
from ganforge.saved.hub import GENERATOR_NAME, fetch_generator, hub_name
from ganforge.saved.tensor_file import save_tensors
from ganforge.trust import check_plugins, trusting

ROOM = 256 << 20
"""Bytes that building a file's network may take beyond its weights, for initialising them."""


class TrainedGenerator(nn.Module):
    """The type of what `load_generator` returns, which is a module of the component's own class with these attributes.

    Maps latents `(batch, latent_dim)` and labels `(batch,)` int64 to samples `(batch, *spec.shape)`.

    Attributes:
        latent_dim: dimension of the latent vector.
        config: what the generator is and where it comes from.
    """

    latent_dim: int
    config: GeneratorConfig


def save_generator(path: Path, state: dict[str, Tensor], config: GeneratorConfig) -> None:
    """Write weights, from `flat_state`, and config in one piece; an older file stays until the new one is whole."""
    with replaced(path) as temporary:
        save_tensors(temporary, state, {"ganforge": config.to_json()})
    write_text(path.with_suffix(".json"), config.to_json() + "\n")


def flat_state(network: nn.Module) -> dict[str, Tensor]:
    """A network's state on the CPU, each tensor contiguous and with memory of its own, as safetensors wants it."""
    return {
        name: tensor.detach().to("cpu", copy=True, memory_format=torch.contiguous_format)
        for name, tensor in network.state_dict().items()
    }


def read_config(path: str | Path) -> GeneratorConfig:
    """The config of a saved generator.

    Raises:
        CheckpointError: the file is missing, damaged, or was not written by ganforge.
    """
    path = find_generator(path)
    try:
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
    except (SafetensorError, OSError) as error:
        raise CheckpointError(f"{path}: cannot be read as safetensors: {error}") from error
    if "ganforge" not in metadata and _is_of_checkpoint(path):
        return _config_of_checkpoint(path.parent)
    if "ganforge" not in metadata:
        raise CheckpointError(f"{path}: holds no ganforge config; was it saved by ganforge?")
    return GeneratorConfig.from_json(metadata["ganforge"], path)


def _is_of_checkpoint(path: Path) -> bool:
    files = CheckpointFolder(path.parent)
    return path.name == files.averaged.name and files.state.is_file()


def _config_of_checkpoint(folder: Path) -> GeneratorConfig:
    """The config of its run's saved generator, without the figures, which are of other weights."""
    state = read_state(folder)
    run = folder.resolve().parent.parent
    try:
        config = read_config(run)
    except CheckpointError as error:
        raise CheckpointError(f"{folder}: only its run's saved generator says what its network is. {error}") from error
    step, images = whole(state, "step"), whole(state, "images")
    if step is None or images is None:
        raise CheckpointError(
            f"{folder}: is not a checkpoint: its {CheckpointFolder(folder).state.name} has no step or images"
        )
    return replace(config, step=step, images=images, averaged=True, metrics={}, protocol={})


def find_generator(path: str | Path) -> Path:
    """A generator file: itself, the best (else the last) of a run, the averaged of a checkpoint, or one from the hub.

    Raises:
        CheckpointError: there is none.
    """
    if isinstance(path, str) and (name := hub_name(path)) is not None:
        path = fetch_generator(*name)
    path = Path(path)
    if path.is_dir():
        if _is_of_checkpoint(averaged := CheckpointFolder(path).averaged):
            return averaged
        files = RunFolder(path)
        for file in (files.generator("best"), files.generator("last"), path / GENERATOR_NAME):
            if file.is_file():
                return file
        raise CheckpointError(f"{path}: has no {GENERATORS} yet; the first checkpoint writes one")
    if not path.is_file():
        raise CheckpointError(f"{path}: there is no such run folder or generator file")
    return path


def build_generator(
    config: GeneratorConfig, source: str = "this generator", most_bytes: int | None = None
) -> nn.Module:
    """The bare network of a config, with fresh weights. Imports the config's plugins only if the name is unknown.

    Args:
        config: of a saved generator.
        source: its file, for messages.
        most_bytes: that its tensors may take; by default the machine's memory.

    Raises:
        TrustError: a plugin would be imported, and the user has not allowed it.
        CheckpointError: the options do not fit the component as it is now, or describe a network that is larger.
    """
    name = config.generator.get("name", "")
    try:
        component = register.generator.get(name)
    except RegistryError:
        check_plugins(config.plugins, source)
        load_plugins(config.plugins)
        component = register.generator.get(name)
    table = {key: value for key, value in config.generator.items() if key != "name"}
    options, problems = validate(component.options, table, ("generator",))
    if options is None:
        raise CheckpointError(f"the saved options do not fit generator '{name}' as it is now: {problems[0]}")
    limit = "the memory of this machine" if most_bytes is None else "all that its file can hold"
    try:
        with at_most(machine_memory() if most_bytes is None else most_bytes, limit):
            return component.build(options, spec=config.spec, source=config.source)
    except ValueError as error:
        raise CheckpointError(f"the saved options do not fit generator '{name}': it {error}") from error


def state_of_way(state: dict[str, Tensor], config: GeneratorConfig, way: WayName) -> dict[str, Tensor]:
    """The tensors of one of the networks that a file holds."""
    if not config.ways:
        return state
    prefix = f"{way}."
    return {name.removeprefix(prefix): tensor for name, tensor in state.items() if name.startswith(prefix)}


def load_generator(
    path: str | Path, device: torch.device | str = "cpu", *, trust: bool = False, way: WayName = "there"
) -> TrainedGenerator:
    """A trained generator, ready to sample: `load_generator("runs/digits32")(torch.randn(16, 64))`.

    Maps latents `(batch, latent_dim)` to samples `(batch, *spec.shape)`, pictures in [-1, 1]; a translator maps
    pictures `(batch, *config.source.shape)` to pictures. The module is in evaluation mode and carries its config as
    `.config`.

    Args:
        path: a run folder (its best generator, else its last), the folder of a checkpoint (its averaged generator), a
            generator file, or a generator on the Hugging Face Hub as `hf://owner/name` or `owner/name`, either with
            `@revision`.
        device: where to put it.
        trust: import the modules that the file names as plugins, if its generator is not one of ganforge's or of an
            installed package's.
        way: of a run with two ways, the network from its sources to its targets (`there`), or the other.

    Raises:
        CheckpointError: there is no such generator, or it does not fit.
        TrustError: it needs a plugin, and `trust` is False.
    """
    path = find_generator(path)
    held = read_config(path)
    if way == "back" and not held.ways:
        known = "from sources to targets" if held.source is not None else "from latents"
        raise CheckpointError(f"{path}: {argument('way', way)}: it holds one generator, {known}")
    config = held.of_way(way)
    try:
        with trusting(trust):
            network = build_generator(config, str(path), most_bytes=ROOM + 3 * path.stat().st_size)
    except TrustError:
        raise
    except (CheckpointError, RegistryError) as error:
        raise CheckpointError(f"{path}: {error}") from error
    if _is_of_checkpoint(path):
        Checkpoint(path.parent).check([path.name])
    try:
        network.load_state_dict(state_of_way(load_file(path), held, way))
    except (RuntimeError, SafetensorError, OSError) as error:
        reason = " ".join(str(error).split())
        reason = reason if len(reason) <= 300 else f"{reason[:297]}..."
        raise CheckpointError(
            f"{path}: the weights do not fit generator '{config.generator['name']}': {reason}"
        ) from error
    trained = cast(TrainedGenerator, network)
    trained.config = config
    return trained.to(device).eval().requires_grad_(False)
