"""A trained generator as one safetensors file that carries its own config.

The file's metadata holds, under the key `ganforge`, JSON with the component, its options, the
sample spec and where the weights come from; a `.json` beside it says the same for people to read.
Opening one runs no code of the file's.
"""

import json
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file
from torch import Tensor, nn

from ganforge.errors import CheckpointError, RegistryError
from ganforge.files import replaced, write_text
from ganforge.options import validate
from ganforge.registry import load_plugins, register
from ganforge.saved.checkpoint import CHECKPOINT_STATE, CHECKPOINT_WEIGHTS, Checkpoint, read_state
from ganforge.saved.hub import GENERATOR_NAME, fetch_generator, hub_name
from ganforge.saved.tensor_file import save_tensors
from ganforge.spec import DataSpec
from ganforge.version import __version__

FORMAT = 1


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
    metrics: dict[str, Any] = field(default_factory=dict)
    protocol: dict[str, Any] = field(default_factory=dict)

    def to_json(self) -> str:
        table = {**asdict(self), "spec": self.spec.to_dict(), "format": FORMAT, "ganforge": __version__}
        return json.dumps(table, indent=2)

    @classmethod
    def from_json(cls, text: str, path: Path) -> "GeneratorConfig":
        table = json.loads(text)
        if table.pop("format", None) != FORMAT:
            raise CheckpointError(
                f"{path}: written in another format; this ganforge {__version__} reads format {FORMAT}"
            )
        table.pop("ganforge", None)
        return cls(**{**table, "spec": DataSpec.from_dict(table["spec"]), "plugins": tuple(table["plugins"])})


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
    state = read_state(folder)
    run = folder.resolve().parent.parent
    try:
        config = read_config(run)
    except CheckpointError as error:
        raise CheckpointError(f"{folder}: only its run's saved generator says what its network is. {error}") from error
    return replace(config, step=state["step"], images=state.get("images", 0), averaged=True, metrics={}, protocol={})


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


def build_generator(config: GeneratorConfig) -> nn.Module:
    """The bare network of a config, with fresh weights. Imports the config's plugins only if the name is unknown."""
    name = config.generator.get("name", "")
    try:
        component = register.generator.get(name)
    except RegistryError:
        load_plugins(config.plugins)
        component = register.generator.get(name)
    table = {key: value for key, value in config.generator.items() if key != "name"}
    options, problems = validate(component.options, table, ("generator",))
    if options is None:
        raise CheckpointError(f"the saved options do not fit generator '{name}' of today: {problems[0]}")
    return component.build(options, spec=config.spec)


def load_generator(path: str | Path, device: torch.device | str = "cpu") -> nn.Module:
    """A trained generator, ready to sample: `load_generator("runs/digits32")(torch.randn(16, 64))`.

    Maps latents `(batch, latent_dim)` to samples `(batch, *spec.shape)`, pictures in [-1, 1]. The module is in
    evaluation mode and carries its config as `.config`.

    Args:
        path: a run folder (its best generator, else its last), the folder of a checkpoint (its averaged generator), a
            generator file, or a generator on the Hugging Face Hub as `hf://owner/name` or `owner/name`, either with
            `@revision`.
        device: where to put it.

    Raises:
        CheckpointError: nothing there, or it does not fit.
    """
    path = find_generator(path)
    config = read_config(path)
    network = build_generator(config)
    if _is_of_checkpoint(path):
        Checkpoint(path.parent).check([path.name])
    try:
        network.load_state_dict(load_file(path))
    except RuntimeError as error:
        raise CheckpointError(
            f"{path}: the weights do not fit generator '{config.generator['name']}': {error}"
        ) from error
    network.config = config  # type: ignore[assignment]  # a plain attribute, for people
    return network.to(device).eval().requires_grad_(False)
