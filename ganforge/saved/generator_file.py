"""A trained generator as one safetensors file that carries its own config.

The file's metadata holds, under the key `ganforge`, JSON with the component, its options, the
sample spec and where the weights come from; a `.json` beside it says the same for people to read.
Opening one runs no code of the file's.
"""

import json
import math
from dataclasses import asdict, dataclass, field, fields, replace
from pathlib import Path
from typing import Annotated, Any, cast

import torch
from pydantic import Field, ValidationError, field_validator
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from ganforge.allocation import at_most, machine_memory
from ganforge.errors import CheckpointError, RegistryError, TrustError
from ganforge.files import replaced, write_text
from ganforge.lookup import whole
from ganforge.options import OptionsModel, problems_of, validate
from ganforge.registry import load_plugins, register
from ganforge.saved.hub import GENERATOR_NAME, fetch_generator, hub_name
from ganforge.spec import DataSpec
from ganforge.trust import check_plugins, trusting
from ganforge.version import __version__

FORMAT = 1

ROOM = 256 << 20
"""Bytes beside the weights of a file that building its network may take, for what starts them."""

CHECKPOINT_STATE, CHECKPOINT_WEIGHTS = "checkpoint.json", "averaged.safetensors"
"""In a checkpoint's folder: what it says of itself, and the averaged generator, whose config its run has."""


@dataclass(frozen=True)
class GeneratorConfig:
    """What a saved generator is and where it comes from.

    Args:
        generator: the component's table: its name and every option.
        spec: what its samples look like.
        plugins: modules that register the component.
        run: name of the recipe.
        step: alternations trained.
        images: real images seen.
        seed: the run's seed.
        averaged: whether these are the averaged (EMA) weights.
        class_counts: real samples of each class, by which labels of samples are drawn; empty for all classes alike.
        metrics: figures of these weights.
        protocol: how they were computed: extractor and hash of its weights, counts, data, versions.
    """

    generator: dict[str, Any]
    spec: DataSpec
    plugins: tuple[str, ...] = ()
    run: str = ""
    step: int = 0
    images: int = 0
    seed: int = 0
    averaged: bool = True
    class_counts: tuple[int, ...] = ()
    metrics: dict[str, Any] = field(default_factory=dict)
    protocol: dict[str, Any] = field(default_factory=dict)

    def to_json(self) -> str:
        table = {**asdict(self), "spec": self.spec.to_dict(), "format": FORMAT, "ganforge": __version__}
        return json.dumps(table, indent=2)

    @classmethod
    def from_json(cls, text: str, path: Path) -> "GeneratorConfig":
        """The config that a file holds, checked: anybody may have written it.

        Raises:
            CheckpointError: in one line what is wrong with it.
        """
        table = _format_checked(text, path)
        try:
            read = _Table.model_validate_json(json.dumps(table), strict=True)
            spec = DataSpec(read.spec.shape, read.spec.classes)
        except ValidationError as error:
            raise CheckpointError(f"{path}: its config is damaged: {problems_of(error, (), _Table)[0]}") from error
        except ValueError as error:
            raise CheckpointError(f"{path}: its config is damaged: spec: {error}") from error
        if math.prod(spec.shape) > MOST_VALUES:
            raise CheckpointError(f"{path}: its config is damaged: spec.shape: {spec} have too many values each")
        if read.class_counts and (len(read.class_counts) != spec.num_classes or not any(read.class_counts)):
            text = f"class_counts are no numbers of samples, one of each of {spec.num_classes} classes"
            raise CheckpointError(f"{path}: its config is damaged: {text}")
        values = {item.name: getattr(read, item.name) for item in fields(cls)}
        return cls(**{**values, "spec": spec})


MOST_VALUES = 2**28
"""Values of one sample; a picture of 8192x8192 in four channels has as many."""


class _Spec(OptionsModel):
    shape: tuple[Annotated[int, Field(ge=1, le=2**20)], ...]
    classes: tuple[str, ...] = ()


class _Table(OptionsModel):
    """`GeneratorConfig` as it stands in a file."""

    generator: dict[str, Any]
    spec: _Spec
    plugins: tuple[str, ...] = ()
    run: str = ""
    step: Annotated[int, Field(ge=0, lt=2**63)] = 0
    images: Annotated[int, Field(ge=0, lt=2**63)] = 0
    seed: Annotated[int, Field(ge=-(2**63), lt=2**63)] = 0
    averaged: bool = True
    class_counts: tuple[Annotated[int, Field(ge=0, lt=2**48)], ...] = ()
    metrics: dict[str, Any] = Field(default_factory=dict)
    protocol: dict[str, Any] = Field(default_factory=dict)

    @field_validator("generator")
    @classmethod
    def _has_a_name(cls, table: dict[str, Any]) -> dict[str, Any]:
        if not isinstance(table.get("name"), str):
            raise ValueError("has no name of a generator")
        return table


def _format_checked(text: str, path: Path) -> dict[str, Any]:
    """The object in the text, without what it says of its format and version."""
    try:
        table = json.loads(text)
    except (ValueError, RecursionError) as error:  # ValueError: also a number of thousands of digits
        raise CheckpointError(f"{path}: its config is damaged: it is not JSON") from error
    if not isinstance(table, dict):
        raise CheckpointError(f"{path}: its config is damaged: it is no object")
    if table.get("format") != FORMAT:
        raise CheckpointError(f"{path}: written in another format; this ganforge {__version__} reads format {FORMAT}")
    return {key: value for key, value in table.items() if key not in ("format", "ganforge")}


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
        save_file(state, temporary, metadata={"ganforge": config.to_json()})
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
        CheckpointError: the file is missing, damaged, or not one of ours.
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
    return path.name == CHECKPOINT_WEIGHTS and (path.parent / CHECKPOINT_STATE).is_file()


def _config_of_checkpoint(folder: Path) -> GeneratorConfig:
    """That of its run's saved generator, whose figures are of other weights."""
    try:
        state = json.loads((folder / CHECKPOINT_STATE).read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise CheckpointError(f"{folder}: is not a checkpoint: {error}") from error
    run = folder.resolve().parent.parent
    try:
        config = read_config(run)
    except CheckpointError as error:
        raise CheckpointError(f"{folder}: only its run's saved generator says what its network is. {error}") from error
    step, images = whole(state, "step"), whole(state, "images")
    if step is None or images is None:
        raise CheckpointError(f"{folder}: is not a checkpoint: its {CHECKPOINT_STATE} has no step or images")
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
        if _is_of_checkpoint(path / CHECKPOINT_WEIGHTS):
            return path / CHECKPOINT_WEIGHTS
        for file in ("generator.best.safetensors", "generator.last.safetensors", GENERATOR_NAME):
            if (path / file).is_file():
                return path / file
        raise CheckpointError(f"{path}: has no generator.*.safetensors yet; the first checkpoint writes one")
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
        TrustError: a plugin would be imported, and nobody said that it may.
        CheckpointError: the options do not fit the component of today, or describe a network that is larger.
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
        raise CheckpointError(f"the saved options do not fit generator '{name}' of today: {problems[0]}")
    limit = "the memory of this machine" if most_bytes is None else "all that its file can hold"
    try:
        with at_most(machine_memory() if most_bytes is None else most_bytes, limit):
            return component.build(options, spec=config.spec)
    except ValueError as error:
        raise CheckpointError(f"the saved options do not fit generator '{name}': it {error}") from error


def load_generator(path: str | Path, device: torch.device | str = "cpu", *, trust: bool = False) -> TrainedGenerator:
    """A trained generator, ready to sample: `load_generator("runs/digits32")(torch.randn(16, 64))`.

    Maps latents `(batch, latent_dim)` to samples `(batch, *spec.shape)`, pictures in [-1, 1]. The module is in
    evaluation mode and carries its config as `.config`.

    Args:
        path: a run folder (its best generator, else its last), the folder of a checkpoint (its averaged generator), a
            generator file, or a generator on the Hugging Face Hub as `hf://owner/name` or `owner/name`, either with
            `@revision`.
        device: where to put it.
        trust: import the modules that the file names as plugins, if its generator is not one of ganforge's or of an
            installed package's.

    Raises:
        CheckpointError: nothing there, or it does not fit.
        TrustError: it needs a plugin, and `trust` is False.
    """
    path = find_generator(path)
    config = read_config(path)
    try:
        with trusting(trust):
            network = build_generator(config, str(path), most_bytes=ROOM + 3 * path.stat().st_size)
    except TrustError:
        raise
    except (CheckpointError, RegistryError) as error:
        raise CheckpointError(f"{path}: {error}") from error
    try:
        network.load_state_dict(load_file(path))
    except (RuntimeError, SafetensorError, OSError) as error:
        reason = " ".join(str(error).split())
        reason = reason if len(reason) <= 300 else f"{reason[:297]}..."
        raise CheckpointError(
            f"{path}: the weights do not fit generator '{config.generator['name']}': {reason}"
        ) from error
    trained = cast(TrainedGenerator, network)
    trained.config = config
    return trained.to(device).eval().requires_grad_(False)
