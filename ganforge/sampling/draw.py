"""Samples by index: sample i depends on the seed and i alone."""

from collections.abc import Iterator
from pathlib import Path

import torch
from torch import Tensor, nn

from ganforge.arguments import argument
from ganforge.errors import CheckpointError, DamagedCheckpointError, GanforgeError
from ganforge.game.networks import latent_distribution_of
from ganforge.parallel.launch import uses_cpu
from ganforge.sampling.truncation import truncate_styles, truncated
from ganforge.saved.generator_config import GeneratorConfig
from ganforge.saved.generator_file import load_generator, read_config
from ganforge.saved.indexed import check_is_given_latents, latents_of
from ganforge.saved.newest import newest_checkpoint
from ganforge.wording import did_you_mean

BATCH = 256
STREAM = "sample"
"""Random stream of samples. Training uses streams of other names, so no latent of training is drawn again."""


def pick_device(local_rank: int = 0) -> torch.device:
    """The accelerator of this process, or the CPU where there is none or ACCELERATE_USE_CPU is set."""
    kind = None if uses_cpu() else torch.accelerator.current_accelerator(check_available=True)
    if kind is None:
        return torch.device("cpu")
    return torch.device(kind.type, local_rank % torch.accelerator.device_count())


def open_generator(run: str | Path, *, averaged: bool = True, device: torch.device | str | None = None) -> nn.Module:
    """A generator to sample from, in evaluation mode.

    Args:
        run: a run folder, a checkpoint's folder, a generator file, or `owner/name` on the Hugging Face Hub.
        averaged: take the averaged weights: of the run's best, else last generator, or of the checkpoint. False takes
            the trained weights themselves, of the checkpoint or of the run's newest one.
        device: where to put it; None for the accelerator if there is one.

    Raises:
        CheckpointError: there is no such generator.
        GanforgeError: it is given pictures.
    """
    check_is_given_latents(read_config(run))
    network = load_generator(run) if averaged else _raw_generator(Path(run))
    return network.to(pick_device() if device is None else device)


def _raw_generator(run: Path) -> nn.Module:
    """The weights of a checkpoint as they are trained, in the network of the run's saved generator."""
    name = "generator"
    try:
        checkpoint = newest_checkpoint(run, [f"{name}.safetensors"])
    except DamagedCheckpointError:
        raise
    except CheckpointError as error:
        raise CheckpointError(
            f"{error}; {argument('averaged', False)} needs a run folder with a checkpoint, or a checkpoint"
        ) from error
    network = load_generator(run)
    try:
        network.load_state_dict(checkpoint.tensors(name))
    except RuntimeError as error:
        reason = str(error).splitlines()[1].strip()
        raise CheckpointError(f"{checkpoint.path}: the {name} does not fit {run}: {reason}") from error
    return network


def config_of(network: nn.Module) -> GeneratorConfig:
    """The config that `load_generator` attached to the network that it returned."""
    config = network.config
    assert isinstance(config, GeneratorConfig)
    return config


@torch.no_grad()
def looks_at_labels(network: nn.Module) -> bool:
    """Whether the generator is conditional, by its option `conditional`, or else by trying two labels on one latent."""
    config = config_of(network)
    if config.spec.num_classes < 2:
        return False
    if "conditional" in config.generator:
        return config.generator["conditional"] not in (False, "none")
    device = next(network.parameters()).device
    latent = latents_of(network, config, seed=0).latents(STREAM, 0, range(1))
    made = []
    for label in (0, 1):
        # A generator that adds noise adds the same to both.
        with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
            torch.manual_seed(0)
            made.append(network(latent, torch.tensor([label], device=device)))
    return not torch.equal(*made)


def find_class(network: nn.Module, name: str) -> int:
    """The label of a class given by its name or its number.

    Raises:
        GanforgeError: there is no such class, or the generator does not look at labels.
    """
    config = config_of(network)
    if not looks_at_labels(network):
        generator = config.generator["name"]
        raise GanforgeError(
            f"{argument('class_name', name)}: this generator ('{generator}', run '{config.run}') is unconditional "
            "and has no classes to choose from; train one that looks at labels"
        )
    classes = config.spec.classes
    if name in classes:
        return classes.index(name)
    if name.isdecimal() and int(name) < len(classes):
        return int(name)
    shown = ", ".join(classes[:20]) + (", ..." if len(classes) > 20 else "")
    raise GanforgeError(
        f"{argument('class_name', name)}: no such class{did_you_mean(name, classes)}; there are: {shown}"
    )


class Sampler:
    """Samples of one generator by index.

    Args:
        network: from `open_generator`.
        seed: seed of the latents.
        truncation: bound of the latents' components, see `truncated`; None for the latents of training.
        label: the class of all samples; None for classes drawn by index as often as training drew them.
        psi: truncation of styles, see `truncate_styles`, which stays set on the network; None for the network's own.

    Raises:
        GanforgeError: `truncation` is out of range, or `psi` is given and the generator has no styles.
    """

    def __init__(
        self,
        network: nn.Module,
        seed: int = 0,
        *,
        truncation: float | None = None,
        label: int | None = None,
        psi: float | None = None,
    ) -> None:
        self.network = network
        self.config = config_of(network)
        self.seed = seed
        self._indexed = latents_of(network, self.config, seed)
        self.truncation = truncation
        self.label = label
        self.psi = psi
        if psi is not None:
            truncate_styles(network, psi)
        self.device = next(network.parameters()).device
        self.distribution = latent_distribution_of(network)
        if truncation is not None and not (truncation > 0 and (self.distribution == "normal" or truncation <= 1)):
            bound = "above 0" if self.distribution == "normal" else "in (0, 1], since this generator's are uniform"
            raise GanforgeError(f"{argument('truncation', truncation)}: a bound of the latents' components is {bound}")

    def latents(self, indices: range) -> Tensor:
        """Latents `(len(indices), latent_dim)` on the generator's device."""
        drawn = self._indexed.latents(STREAM, 0, indices)
        return drawn if self.truncation is None else truncated(drawn, self.truncation, self.distribution)

    def labels(self, indices: range) -> Tensor | None:
        """Labels `(len(indices),)` int64; None when the data had no classes."""
        if self.label is not None:
            return torch.full((len(indices),), self.label, dtype=torch.int64, device=self.device)
        return self._indexed.labels(STREAM, 0, indices)

    @torch.no_grad()
    def __call__(self, indices: range) -> Tensor:
        """Samples `(len(indices), *spec.shape)` float32 on the generator's device, all in one batch."""
        return self.network(self.latents(indices), self.labels(indices)).float()

    def batches(self, indices: range) -> Iterator[tuple[range, Tensor]]:
        """Samples in batches that begin at the first index and every `BATCH` after it, on the generator's device."""
        for start in indices[::BATCH]:
            part = range(start, min(start + BATCH, indices.stop))
            yield part, self(part)

    def many(self, num: int) -> Tensor:
        """The first `num` samples on the CPU."""
        return torch.cat([samples.cpu() for _, samples in self.batches(range(num))])


def sampler_of(
    network: nn.Module,
    seed: int = 0,
    *,
    truncation: float | None = None,
    psi: float | None = None,
    class_name: str | None = None,
) -> Sampler:
    """A sampler of one class by its name or number, or of all.

    Raises:
        GanforgeError: there is no such class, or see `Sampler`.
    """
    label = None if class_name is None else find_class(network, class_name)
    return Sampler(network, seed, truncation=truncation, label=label, psi=psi)


def draw(network: nn.Module, num: int, seed: int) -> Tensor:
    """`num` samples `(num, *spec.shape)` on the CPU from a generator that `load_generator` returned."""
    return Sampler(network, seed).many(num)
